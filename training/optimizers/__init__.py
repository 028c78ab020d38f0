"""Optimizers: each updates its weights in place, and saves and loads its moments by name."""
