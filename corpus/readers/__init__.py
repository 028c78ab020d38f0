"""Readers of raw corpora: the general formats, published corpora by name, tokenised input."""
