"""Models in and out: Hugging Face, llama2.c, GGUF and MindFormers, one file a format."""
