"""Int8: a network whose matrices take little more than a quarter of the memory, for evaluation.

Each block of 32 weights in a row is kept as whole numbers from -127 to 127 and one float16 scale,
34 bytes, as in Q8_0 of ggml. What a matrix is multiplied with is rounded in the same way, with
float32 scales, so that kernels can multiply whole numbers (`generation.cpu_kernels`); the cells
here make the same product of what was rounded, in the compute type. A float copy of a matrix lives
no longer than its product. Norms and biases stay float32. Checkpoints are float32: rounding is done
when they are loaded.
"""

from collections.abc import Callable

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from common.errors import UserError
from model.config import ModelConfig
from model.head import Head
from model.llama import Llama

LARGEST = 127
BLOCK = 32
"""Weights that share a scale."""
TINY = float(np.finfo(np.float32).tiny)
"""Smallest scale of what a matrix is multiplied with: any divides zeros."""
BLOCK_ROWS = 4096
"""Of a matrix quantised at a time, so that what is computed on the way stays small."""


def quantise(values: np.ndarray, scale_type=np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Rows of values, (..., n), as int8, (..., n), and scales, (..., 1): values ~ int8 * scale.

    The largest of each row becomes 127 or -127, so the error is at most half a scale; with scales
    in float16 it is 126 to 127, or the error of the largest is a little more.
    """
    whole = np.empty(values.shape, np.int8)
    scales = np.empty((*values.shape[:-1], 1), scale_type)
    for begin in range(0, len(values), BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        scales[block] = np.abs(values[block]).max(-1, keepdims=True) / np.float32(LARGEST)
        # A row of zeros has scale 0; any divisor gives it zeros.
        divisors = np.where(scales[block] == 0, 1, scales[block].astype(np.float32))
        whole[block] = np.rint(values[block] / divisors).clip(-LARGEST, LARGEST)
    return whole, scales


def quantise_matrix(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix, (N, D), as int8, (N, D), and float16 scales of its blocks, (N, D/32)."""
    whole, scales = quantise(values.reshape(-1, BLOCK), np.float16)
    return whole.reshape(values.shape), scales.reshape(len(values), -1)


def dequantised_rows(whole: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The float32 values, (N, D), of int8, (N, D), with scales of its blocks, (N, D/32)."""
    return (whole.reshape(*scales.shape, BLOCK) * scales[..., None].astype(np.float32)).reshape(
        whole.shape
    )


def block_scales(rows: int, columns: int) -> Parameter:
    """Room for the scales of a matrix, (rows, columns / 32)."""
    zeros = np.zeros((rows, columns // BLOCK), np.float16)
    return Parameter(Tensor(zeros), requires_grad=False)


class Blocks(nn.Cell):
    """Float forms of rounded values, in a compute type.

    Scales are spread over their blocks by a product with a row of ones, because a broadcast along
    the last axis is slow on the CPU.
    """

    def __init__(self, compute_dtype):
        super().__init__()
        self.compute_dtype = compute_dtype
        self.ones = Tensor(np.ones((1, BLOCK), np.float32))
        self.spread = ops.MatMul()

    def scaled(self, whole, scales):
        """Whole numbers, (n, 32) float32, times scales, (n, 1) float32."""
        return whole * self.spread(scales, self.ones)

    def matrix(self, whole, scales):
        """An int8 matrix, (N, D), with its scales, (N, D/32), in the compute type."""
        values = whole.astype(mstype.float32).reshape(-1, BLOCK)
        values = self.scaled(values, scales.astype(mstype.float32).reshape(-1, 1))
        return values.reshape(whole.shape).astype(self.compute_dtype)

    def rounded(self, x):
        """x, (rows, D), with each block of 32 rounded to 127 steps, in the compute type."""
        blocks = x.astype(mstype.float32).reshape(-1, BLOCK)
        scales = ops.maximum(ops.amax(ops.abs(blocks), -1, True) / LARGEST, TINY)
        whole = ops.round(blocks / self.spread(scales, self.ones))
        return self.scaled(whole, scales).reshape(x.shape).astype(self.compute_dtype)


class Int8Linear(nn.Cell):
    """A `Linear` with an int8 weight, (out, in), and scales of its blocks, (out, in / 32)."""

    def __init__(self, in_dim: int, out_dim: int, compute_dtype, bias: bool = False):
        super().__init__()
        self.compute_dtype = compute_dtype
        self.weight = Parameter(Tensor(np.zeros((out_dim, in_dim), np.int8)), requires_grad=False)
        self.scales = block_scales(out_dim, in_dim)
        self.bias = Parameter(Tensor(np.zeros(out_dim, np.float32))) if bias else None
        self.matmul, self.blocks = ops.MatMul(transpose_b=True), Blocks(compute_dtype)

    def construct(self, x, row_keys=None):
        """Map x, (rows, in) -> (rows, out) in the compute type."""
        # Waits for x: else all matrices would be made float before the first is used.
        weight = self.blocks.matrix(ops.depend(self.weight, x), self.scales)
        y = self.matmul(self.blocks.rounded(x), weight)
        if self.bias is not None:
            y = y + self.bias.astype(self.compute_dtype)
        return y


class Int8Head(Head):
    """Logits over an int8 table, (V, D), with the scales of its blocks, (V, D/32)."""

    def __init__(self, compute_dtype, rows: int, columns: int):
        super().__init__(compute_dtype)
        self.scales, self.blocks = block_scales(rows, columns), Blocks(compute_dtype)

    def construct(self, h, table):
        """Logits of every id: (rows, V) float32."""
        # Waits for h: else the float copy of the table would stand through the whole network.
        table = self.blocks.matrix(ops.depend(table, h), self.scales)
        return super().construct(self.blocks.rounded(h), table)


class Int8Llama(Llama):
    """A `Llama` for evaluation: the same calls, int8 matrices, no gradient; zeros at first."""

    dense, table_dtype = Int8Linear, np.int8

    def __init__(self, config: ModelConfig, compute_dtype=mstype.float32):
        """Raises UserError if rows cannot be cut into blocks."""
        if config.dim % BLOCK or config.hidden_dim % BLOCK:
            raise UserError(
                f"int8 needs rows of a multiple of {BLOCK}, but model.dim is {config.dim} and "
                f"model.hidden_dim {config.hidden_dim}; take --eval.weights float32"
            )
        super().__init__(config, compute_dtype, seed=None)
        table = config.padded_vocab_size, config.dim
        self.head = Int8Head(compute_dtype, *table)
        self.embedding_scales = self.head.scales
        if not config.tie_embeddings:
            self.embedding_scales = block_scales(*table)
        self.blocks = Blocks(mstype.float32)

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
        whole = ops.gather(self.embedding, tokens, 0)
        return self.blocks.matrix(whole, ops.gather(self.embedding_scales, tokens, 0))


def put(weight: Parameter, scales: Parameter, values: np.ndarray) -> None:
    """Quantise a matrix into its two Parameters."""
    whole, each = quantise_matrix(values)
    weight.set_data(Tensor(whole))
    scales.set_data(Tensor(each))
