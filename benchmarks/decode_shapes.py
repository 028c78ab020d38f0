"""The sizes at which decoding is timed; `tiny` is for the test of the benchmark."""

import numpy as np

PROMPT = 32
"""Ids of each prompt, with START."""
START = 0
"""The id that begins each prompt; no id ends a text."""
WEIGHTS = "weights.npz"

SHAPES = {
    "24.6M": {"dim": 288, "n_layers": 6, "n_heads": 6, "vocab_size": 64_832, "max_seq_len": 256},
    "15.1M": {
        "dim": 384,
        "n_layers": 7,
        "n_heads": 6,
        "hidden_dim": 1120,
        "vocab_size": 5_056,
        "max_seq_len": 256,
    },
    "tiny": {"dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": 5_056, "max_seq_len": 64},
}
"""Vocabularies of 64,794 (ChatGLM2) and 5,000 ids, padded as the model pads them."""


def prompts(batch: int) -> np.ndarray:
    """Prompts of random ids, START first, (B, PROMPT)."""
    ids = np.random.default_rng(0).integers(3, 5000, (batch, PROMPT - 1))
    return np.pad(ids, ((0, 0), (1, 0)), constant_values=START)
