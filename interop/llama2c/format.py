"""llama2.c's first format (github.com/karpathy/llama2.c, MIT): model.bin in float32, for `run`.

Little-endian: seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len;
the vocabulary negative if the output layer stands apart), then float32 arrays in the order of
`layout`. A run's weights become these by `llama2c_weights`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from interop.llama2c.weights import (
    SHAPE,
    for_llama2c,
    from_llama2c,
    shape_numbers,
    stack,
    unstack,
)
from interop.registry import Exported, Weights, export_format
from model.config import ModelConfig

MODEL = "model.bin"
HEADER = struct.Struct("<7i")
ROUNDING = 1e-5
"""Only the order of sums can differ."""


def layout(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each array of the file; parts of blocks have N as their first size."""
    n, dim, kv_dim, hidden = config.n_layers, config.dim, config.kv_dim, config.hidden_dim
    yield "embedding", (config.vocab_size, dim)
    yield "attention_norm", (n, dim)
    yield "attention.wq", (n, dim, dim)
    yield "attention.wk", (n, kv_dim, dim)
    yield "attention.wv", (n, kv_dim, dim)
    yield "attention.wo", (n, dim, dim)
    yield "ffn_norm", (n, dim)
    yield "feed_forward.w1", (n, hidden, dim)
    yield "feed_forward.w2", (n, dim, hidden)
    yield "feed_forward.w3", (n, hidden, dim)
    yield "norm.weight", (dim,)
    yield "angles", (config.max_seq_len, config.head_dim)
    if not config.tie_embeddings:
        yield "output", (config.vocab_size, dim)


def read_back(folder: Path) -> tuple[ModelConfig, Weights]:
    """The shape and weights that model.bin holds, in our own order.

    Raises:
        UserError: the file's length is not what its header says.
    """
    data = (folder / MODEL).read_bytes()
    shape = dict(zip(SHAPE, HEADER.unpack_from(data)))
    tied = shape["vocab_size"] > 0
    shape["vocab_size"] = abs(shape["vocab_size"])
    config = ModelConfig(**shape, tie_embeddings=tied)
    values = np.frombuffer(data, "<f4", offset=HEADER.size)
    shapes = dict(layout(config))
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    if sum(sizes) != len(values):
        raise UserError(f"{folder / MODEL} is damaged: it has {len(data):,} bytes; export again")
    weights: Weights = {}
    for (name, shape), part in zip(shapes.items(), np.split(values, np.cumsum(sizes)[:-1])):
        if name in ("embedding", "norm.weight", "output"):
            weights[name] = part.reshape(shape).copy()
        elif name != "angles":
            unstack(weights, name, part.reshape(shape))
    return from_llama2c(config, weights)


@export_format("llama2c", read_back, {"float32": ROUNDING})
def write(exported: Exported, folder: Path) -> None:
    """Write model.bin and tokenizer.bin.

    Raises:
        UserError: llama2.c cannot run this model, or cannot read text as its tokenizer does.
    """
    config, weights = for_llama2c(exported, folder)
    numbers = shape_numbers(config)
    if not config.tie_embeddings:
        numbers["vocab_size"] *= -1
    with atomic_open(folder / MODEL) as file:
        file.write(HEADER.pack(*numbers.values()))
        for name, shape in layout(config):
            if name == "angles":  # run computes them itself
                values = np.zeros(shape, np.float32)
            elif name in weights:
                values = weights[name]
            else:
                values = stack(weights, config, name)
            file.write(values.astype("<f4").tobytes())
