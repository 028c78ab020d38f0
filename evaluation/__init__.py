"""What a run is worth: perplexity, continuations and the report."""
