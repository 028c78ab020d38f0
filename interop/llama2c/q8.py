"""llama2.c's quantised format (version 2): model.bin in int8 with float32 scales, for `runq`.

Little-endian: the magic number, the version, the seven numbers of the first format with a positive
vocabulary, one byte that is 1 if the output layer is the embedding, the int32 group size; zeros up
to byte 256. Then the norms in float32, and for each matrix, block by block, its int8 values and one
scale for every group of values that follow each other in a row.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from interop.llama2c.weights import MATRICES, SHAPE, for_llama2c, from_llama2c, shape_numbers
from interop.names import parameter_shapes
from interop.registry import Exported, Weights, export_format
from model.config import ModelConfig
from model.int8 import quantise

MODEL = "model.bin"
MAGIC, VERSION = 0x616B3432, 2
HEADER, HEADER_BYTES = struct.Struct("<Ii7iBi"), 256
LARGEST_GROUP = 64
ROUNDING = 0.1
"""Half a part in 127 of the largest of each group, through all layers."""


def group_size(config: ModelConfig) -> int:
    """64, halved until it divides the length of every row."""
    size = LARGEST_GROUP
    while config.dim % size or config.hidden_dim % size:
        size //= 2
    return size


def matrices(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each quantised matrix, in the order of the file."""
    shapes = parameter_shapes(config)
    table = (config.vocab_size, config.dim)
    yield "embedding", table
    for part in MATRICES:
        for n in range(config.n_layers):
            name = f"layers.{n}.{part}.weight"
            yield name, shapes[name]
    if not config.tie_embeddings:
        yield "output", table


def norms(config: ModelConfig) -> list[str]:
    """Names of the norms, in the order of the file."""
    blocks = range(config.n_layers)
    parts = ("attention_norm", "ffn_norm")
    return [f"layers.{n}.{part}.weight" for part in parts for n in blocks] + ["norm.weight"]


def read_back(folder: Path) -> tuple[ModelConfig, Weights]:
    """The shape and the weights that model.bin stands for, in our own order.

    Raises:
        UserError: it is another file, or its length is not what its header says.
    """
    data = (folder / MODEL).read_bytes()
    magic, version, *shape, shared, group = HEADER.unpack_from(data)
    config = ModelConfig(**dict(zip(SHAPE, shape)), tie_embeddings=bool(shared))
    sizes = {name: int(np.prod(shape)) for name, shape in matrices(config)}
    length = 4 * config.dim * len(norms(config)) + sum(n + 4 * n // group for n in sizes.values())
    if (magic, version, len(data)) != (MAGIC, VERSION, HEADER_BYTES + length):
        raise UserError(f"{folder / MODEL} is damaged: its header and length do not agree")
    offset, weights = HEADER_BYTES, {}

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal offset
        values = np.frombuffer(data, dtype, count, offset)
        offset += values.nbytes
        return values

    for name in norms(config):
        weights[name] = take("<f4", config.dim)
    for name, shape in matrices(config):
        whole = take("i1", sizes[name]).reshape(-1, group)
        scales = take("<f4", len(whole)).reshape(-1, 1)
        weights[name] = (whole * scales).reshape(shape)
    return from_llama2c(config, weights)


@export_format("llama2c-q8", read_back, {"int8": ROUNDING})
def write(exported: Exported, folder: Path) -> None:
    """Write model.bin and tokenizer.bin.

    Raises:
        UserError: llama2.c cannot run this model, or cannot read text as its tokenizer does.
    """
    config, weights = for_llama2c(exported, folder)
    group = group_size(config)
    numbers = shape_numbers(config).values()
    header = HEADER.pack(MAGIC, VERSION, *numbers, config.tie_embeddings, group)
    with atomic_open(folder / MODEL) as file:
        file.write(header.ljust(HEADER_BYTES, b"\0"))
        for name in norms(config):
            file.write(weights[name].astype("<f4").tobytes())
        for name, _ in matrices(config):
            whole, scales = quantise(weights[name].reshape(-1, group))
            file.write(whole.tobytes() + scales.astype("<f4").tobytes())
