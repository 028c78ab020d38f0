"""Weight-only int8: a network whose matrices take a quarter of the memory, for evaluation.

Each row of a matrix is kept as whole numbers from -127 to 127 and one float32 scale. Products are
made in the compute type of the whole numbers, which it holds exactly, and scaled afterwards; a
float copy of a matrix lives no longer than its product. Norms and biases stay float32.
"""

from collections.abc import Callable

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from model.config import ModelConfig
from model.head import Head
from model.llama import Llama

LARGEST = 127
BLOCK_ROWS = 4096
"""Of a matrix quantised at a time, so that what is computed on the way stays small."""


def quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of values, (..., n), as int8, (..., n), and scales, (..., 1): values ~ int8 * scale.

    The largest of each row becomes 127 or -127, so the error is at most half a scale.
    """
    whole = np.empty(values.shape, np.int8)
    scales = np.empty((*values.shape[:-1], 1), np.float32)
    for begin in range(0, len(values), BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        scales[block] = np.abs(values[block]).max(-1, keepdims=True) / np.float32(LARGEST)
        # A row of zeros has scale 0; any divisor gives it zeros.
        divisors = np.where(scales[block] == 0, np.float32(1), scales[block])
        whole[block] = np.rint(values[block] / divisors)
    return whole, scales


def row_scales(rows: int) -> Parameter:
    """Room for the scales of so many rows, (1, rows)."""
    return Parameter(Tensor(np.zeros((1, rows), np.float32)), requires_grad=False)


def scaled(y, scales):
    """y, (rows, n), times scales, (1, n); spread first, because a broadcast product is large."""
    return y * ops.broadcast_to(scales, y.shape)


class Int8Linear(nn.Cell):
    """A `Linear` with an int8 weight, (out, in), and a scale for each output, (1, out)."""

    def __init__(self, in_dim: int, out_dim: int, compute_dtype, bias: bool = False):
        super().__init__()
        self.compute_dtype = compute_dtype
        self.weight = Parameter(Tensor(np.zeros((out_dim, in_dim), np.int8)), requires_grad=False)
        self.scales = row_scales(out_dim)
        self.bias = Parameter(Tensor(np.zeros(out_dim, np.float32))) if bias else None
        self.matmul = ops.MatMul(transpose_b=True)

    def construct(self, x):
        """Map x, (rows, in) -> (rows, out) in the compute type."""
        # Waits for x: else all matrices would be made float before the first is used.
        weight = ops.depend(self.weight, x).astype(self.compute_dtype)
        y = self.matmul(x.astype(self.compute_dtype), weight)
        y = scaled(y, self.scales).astype(self.compute_dtype)
        if self.bias is not None:
            y = y + self.bias.astype(self.compute_dtype)
        return y


class Int8Head(Head):
    """Logits over an int8 table, (V, D), with the scales of its rows, (1, V)."""

    def __init__(self, compute_dtype, rows: int):
        super().__init__(compute_dtype)
        self.scales = row_scales(rows)

    def construct(self, h, table):
        """Logits of every id: (rows, V) float32."""
        # Waits for h: else the float copy of the table would stand through the whole network.
        return scaled(super().construct(h, ops.depend(table, h)), self.scales)


class Int8Llama(Llama):
    """A `Llama` for evaluation: the same calls, int8 matrices, no gradient; zeros at first."""

    dense, table_dtype = Int8Linear, np.int8

    def __init__(self, config: ModelConfig, compute_dtype=mstype.float32):
        super().__init__(config, compute_dtype, seed=None)
        self.head = Int8Head(compute_dtype, config.padded_vocab_size)
        self.embedding_scales = self.head.scales
        if not config.tie_embeddings:
            self.embedding_scales = row_scales(config.padded_vocab_size)
        self.spread, self.row = ops.MatMul(), Tensor(np.ones((1, config.dim), np.float32))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that `fill` reads: those of a `Llama`."""
        parameters = self.parameters_and_names()
        return {name: p.shape for name, p in parameters if not name.endswith("scales")}

    def fill(self, read: Callable[[str], np.ndarray]) -> None:
        """Put all weights in, one after the other; `read` gives each by its name, in float32."""
        put(self.embedding, self.embedding_scales, read("embedding"))
        if not self.config.tie_embeddings:
            put(self.output, self.head.scales, read("output"))
        for name, cell in self.cells_and_names():
            if isinstance(cell, Int8Linear):
                put(cell.weight, cell.scales, read(f"{name}.weight"))
        for name, parameter in self.parameters_and_names():
            if name.endswith(("norm.weight", "bias")):
                parameter.set_data(Tensor(read(name)))

    def embed(self, tokens):
        """Rows of the embedding for tokens, (rows,): (rows, D) float32."""
        whole = ops.gather(self.embedding, tokens, 0).astype(mstype.float32)
        scales = ops.gather(self.embedding_scales, tokens, 1).reshape(-1, 1)
        # As in the norm, a product with a row of ones: broadcasts along a row are slow on the CPU.
        return whole * self.spread(scales, self.row)


def put(weight: Parameter, scales: Parameter, values: np.ndarray) -> None:
    """Quantise a matrix into its two Parameters."""
    whole, each = quantise(values)
    weight.set_data(Tensor(whole))
    scales.set_data(Tensor(each.reshape(1, -1)))
