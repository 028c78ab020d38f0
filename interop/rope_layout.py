"""The two orders of the rows of query and key weights, which name the pairs that rotary turns.

Ours and Hugging Face's turn (i, i + C/2) of a head, the split-half order; llama2.c and GGUF turn
(2i, 2i + 1), the interleaved order of Meta's own files. Values and outputs are not turned, so only
`wq` and `wk` (weights and biases) differ.
"""

import numpy as np

from interop.registry import Weights
from model.config import ModelConfig


def interleave(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Split-half rows, (n C, ...), in interleaved order."""
    heads = rows.reshape(n_heads, 2, -1, *rows.shape[1:])
    return heads.swapaxes(1, 2).reshape(rows.shape)


def split_halves(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Interleaved rows, (n C, ...), in split-half order."""
    heads = rows.reshape(n_heads, -1, 2, *rows.shape[1:])
    return heads.swapaxes(1, 2).reshape(rows.shape)


def to_interleaved(weights: Weights, config: ModelConfig) -> Weights:
    """Our weights with all query and key rows interleaved."""
    return _reorder(weights, config, interleave)


def from_interleaved(weights: Weights, config: ModelConfig) -> Weights:
    """Weights under our names, their query and key rows interleaved, in our own order."""
    return _reorder(weights, config, split_halves)


def _reorder(weights: Weights, config: ModelConfig, order) -> Weights:
    heads = {"wq": config.n_heads, "wk": config.n_kv_heads}
    parts = {name: name.split(".")[-2] for name in weights if "." in name}
    return {
        name: order(value, heads[parts[name]]) if parts.get(name) in heads else value
        for name, value in weights.items()
    }
