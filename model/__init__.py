"""The Llama2 network: shapes, layers, loss and decoding. Knows nothing of files or tokenizers."""
