"""Hugging Face folders: config.json, safetensors and the tokenizer."""
