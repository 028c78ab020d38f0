"""The kernels of output layer and cross-entropy as cells; see model/native/loss.py."""

import numpy as np
from mindspore import Tensor, ops
from mindspore import dtype as mstype

from model.native.cells import Accumulating, operator, scratch
from model.native.library import HALF_NAME, cores
from model.native.loss import SPARE

CHUNK_BYTES, LEAST_ROWS = 288 << 20, 256
"""What is kept of one chunk of rows is at most so large; or there are so many rows, since the table
is read, and its gradient added to, once a chunk."""
HALF_CHUNK_BYTES = 24 << 20
"""The same for products in bfloat16, whose logits are to stay in the third cache."""
COLUMNS, BLOCKS_A_CORE = (192, 96), 4
"""Rows of the table that make a block: fewer where each core would have few blocks. They are
multiples of the rows of any tile."""


def chunk_rows(rows: int, vocab_size: int, half: bool = False) -> int:
    """How many of `rows` to take at a time, in equal chunks."""
    limit = HALF_CHUNK_BYTES if half else CHUNK_BYTES
    most = limit // (vocab_size * np.dtype(np.float32).itemsize)
    return -(-rows // -(-rows // max(most, LEAST_ROWS)))


def kept_shape(rows: int, vocab_size: int, half: bool = False, table: bool = True) -> tuple:
    """What a kernel keeps of a chunk: logits, or their exponentials by blocks of the vocabulary.

    Those are for the gradient of the table alone.
    """
    chunk = chunk_rows(rows, vocab_size, half)
    if half:
        return chunk, vocab_size
    wide, narrow = COLUMNS
    columns = wide if vocab_size >= wide * BLOCKS_A_CORE * cores() else narrow
    return (-(-vocab_size // columns), chunk + SPARE, columns) if table else (1, 1, columns)


def loss_operator(name: str, half: bool, outputs) -> ops.Custom:
    """The operator of a kernel of (h, table, ...) whose products are in bfloat16 if `half`.

    Two outputs that nobody looks at follow those whose shapes `outputs` gives: memory for rounded
    operands, and what the kernel keeps of a chunk.
    """
    table = name in ("loss_gradient", "loss_accumulate")

    def shapes(h, w, *others):
        kept = kept_shape(h[0], w[0], half, table)
        return *outputs(h, w), scratch(half, h, w), kept

    count = len(outputs((1, 1), (1, 1))) + 2
    return operator(f"{name}{HALF_NAME * half}", shapes, count)


def losses_alone(h, table):
    """Losses of the rows."""
    return ((h[0],),)


def with_input_gradient(h, table):
    """Losses, and the gradient of h."""
    return (h[0],), h


def with_gradients(h, table):
    """Losses, and the gradients of h and table."""
    return (h[0],), h, table


class TokenLosses(Accumulating):
    """-log softmax(h table^T)[target] of each row: (h (R, D), table (V, D), targets (R)) ->
    (R), and what nobody looks at.

    Its logits are made again for the gradient, since the factor of each row is known only then.
    """

    def __init__(self, half: bool = False):
        super().__init__()
        self.forward = loss_operator("loss", half, losses_alone)
        self.backward = loss_operator("loss_gradient", half, with_gradients)
        self.adding = loss_operator("loss_accumulate", half, with_input_gradient)
        self.frozen = loss_operator("loss_frozen", half, with_input_gradient)

    def construct(self, h, table, targets):
        """Losses in nats."""
        return self.forward(h, table, targets)

    def bprop(self, h, table, targets, out, dout):
        """Gradients of h and table."""
        if not self.trained:
            dh, dtable = self.frozen(h, table, targets, dout[0])[1], ops.zeros_like(table)
        elif self.accumulates:
            dh = self.adding(h, table, targets, dout[0], self.places)[1]
            dtable = ops.zeros_like(table)
        else:
            _, dh, dtable, _, _ = self.backward(h, table, targets, dout[0])
        return dh, dtable, ops.zeros_like(targets)


class SummedLoss(Accumulating):
    """Losses as `TokenLosses` has them, whose sum, weighted by `weight` (R), is to be minimised:
    (h, table, targets, weight) -> that sum, and the gradient of h.

    The gradient of the table is added to the buffer in the forward pass: a chunk's logits are made
    once. So only that sum may be differentiated, and it by a factor of 1: another would meet a
    gradient that is not a number. What only evaluates takes `TokenLosses`.
    """

    def __init__(self, half: bool = False):
        super().__init__()
        self.forward = loss_operator("loss_accumulate", half, with_input_gradient)
        self.frozen = loss_operator("loss_frozen", half, with_input_gradient)
        self.nan = Tensor(np.nan, mstype.float32)

    def construct(self, h, table, targets, weight):
        """The weighted sum in nats, and the gradient of h."""
        if self.trained:
            losses, dh, _, _ = self.forward(h, table, targets, weight, self.places)
        else:
            losses, dh, _, _ = self.frozen(h, table, targets, weight)
        return ops.reduce_sum(losses * weight), dh

    def bprop(self, h, table, targets, weight, out, dout):
        """Gradient of h."""
        factor = ops.select(ops.equal(dout[0], 1.0), dout[0], self.nan)
        zeros = ops.zeros_like(table), ops.zeros_like(targets), ops.zeros_like(weight)
        return (out[1] * factor, *zeros)
