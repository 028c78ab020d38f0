"""Writing text with a model: key-value cache, decoding, sampling, and the text as it appears."""
