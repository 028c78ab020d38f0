"""The .bin files of llama2.c, in float32 and int8, and its tokenizer.bin."""
