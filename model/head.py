"""The output layer: logits, the summed cross-entropy, and log-probabilities of chosen ids.

A network's hidden states h are (rows, D) float32, the table is (V, D) float32, targets are (rows,)
int32. The logits of all rows, (rows, V), would be the largest tensor of a step; the forms with a
gradient of their own therefore take a chunk of rows at a time and keep no logits.
"""

import numpy as np
from mindspore import dtype as mstype
from mindspore import nn, ops

from model.linear import product

BYTES_FLOAT32 = 4
CHUNK_BYTES = 128 << 20
# The smallest normal float32: keeps log() finite where a probability underflows.
TINY = float(np.finfo(np.float32).tiny)


def chunk_rows(rows: int, vocab_size: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """How many of `rows` to take at a time, in equal chunks whose logits fit `chunk_bytes`."""
    n_chunks = -(-rows * vocab_size * BYTES_FLOAT32 // chunk_bytes)
    return -(-rows // n_chunks)


class Head(nn.Cell):
    """logits = h table^T, the product in the compute type, the result in float32."""

    def __init__(self, compute_dtype, native: bool = False):
        super().__init__()
        self.compute_dtype, self.native = compute_dtype, native
        self.product = product(compute_dtype, False, native)

    def construct(self, h, table):
        """Logits of every id: (rows, V) float32."""
        return self.product(h, table).astype(mstype.float32)


def cross_entropy(head: Head, frozen_table: bool = False) -> nn.Cell:
    """The form of the summed loss that suits a head: a cell of (h, table, targets, weight)."""
    if head.native:
        return NativeCrossEntropy(head)
    return CrossEntropy(head, frozen_table=frozen_table)


def token_log_probs(head: Head, frozen_table: bool = False) -> nn.Cell:
    """The form of the log-probabilities that suits a head: a cell of (h, table, targets)."""
    if head.native:
        return NativeTokenLogProbs(head)
    return TokenLogProbs(head, frozen_table=frozen_table)


class PlainCrossEntropy(nn.Cell):
    """The reference form: sum of weight * -log softmax(h table^T)[target], softmax in float32.

    Called with (h, table, targets, weight), weight being (rows,) float32. Returns a scalar in
    nats, and what the gradient needs beside the inputs (here nothing).
    """

    def __init__(self, head: Head):
        super().__init__()
        self.head = head

    def construct(self, h, table, targets, weight):
        """Weighted sum of the losses in nats."""
        losses = ops.cross_entropy(self.head(h, table), targets, reduction="none")
        return ops.reduce_sum(losses * weight), None


class CrossEntropy(PlainCrossEntropy):
    """The same without ever holding all logits: value and gradient, a chunk of rows at a time.

    With p = softmax(logits) and y the one-hot targets:

        d loss / d logits = weight * (p - y)
        d loss / d h      = weight * (p table - table[target])
        d loss / d table  = p^T (weight * h), less weight * h in the rows of the targets

    So the gradient is known as soon as the value is, and a chunk's logits are never needed again.
    Neither y nor weight * p is formed: the weights scale the small factor of each product, and y
    selects rows.

    Args:
        head: what makes the logits.
        chunk_bytes: the logits of one chunk are at most so large.
        frozen_table: the table is not trained, so its gradient is not made.
    """

    def __init__(self, head: Head, chunk_bytes: int = CHUNK_BYTES, frozen_table: bool = False):
        super().__init__(head)
        self.compute_dtype, self.chunk_bytes = head.compute_dtype, chunk_bytes
        self.frozen_table = frozen_table
        self.softmax = ops.Softmax(-1)
        self.matmul = ops.MatMul()
        self.transposed = ops.MatMul(transpose_a=True)

    def construct(self, h, table, targets, weight):
        """Weighted sum of the losses in nats, and its gradients of h and of a trained table."""
        rows = h.shape[0]
        size = chunk_rows(rows, table.shape[0], self.chunk_bytes)
        column = weight.reshape(-1, 1)
        weighted, wanted = h * column, ops.gather(table, targets, 0)
        values, dhs, dtable = (), (), None
        for begin in range(0, rows, size):
            end = min(begin + size, rows)
            # Waits for the chunk before, whose logits are then free.
            before = dhs[-1] if dhs and self.frozen_table else dtable
            part = h[begin:end] if before is None else ops.depend(h[begin:end], before)
            p = self.softmax(self.head(part, table))
            likelihood = ops.gather_elements(p, 1, targets[begin:end].expand_dims(1)).reshape(-1)
            losses = -ops.log(ops.maximum(likelihood, TINY))
            values += (ops.reduce_sum(losses * weight[begin:end]),)
            p = p.astype(self.compute_dtype)
            dh = self.matmul(p, table.astype(self.compute_dtype)).astype(mstype.float32)
            dhs += ((dh - wanted[begin:end]) * column[begin:end],)
            if self.frozen_table:
                continue
            product = self.transposed(p, weighted[begin:end].astype(self.compute_dtype))
            product = product.astype(mstype.float32)
            dtable = product if dtable is None else dtable + product
        if self.frozen_table:
            return sum(values), ops.concat(dhs)
        dtable = ops.tensor_scatter_add(dtable, targets.reshape(-1, 1), -weighted)
        return sum(values), ops.concat(dhs), dtable

    def bprop(self, h, table, targets, weight, out, dout):
        """Gradients of h and table; targets and weight are data."""
        dtable = ops.zeros_like(table) if self.frozen_table else out[2] * dout[0]
        return out[1] * dout[0], dtable, ops.zeros_like(targets), ops.zeros_like(weight)


class PlainTokenLogProbs(nn.Cell):
    """The reference form: log softmax(h table^T)[target] of each row, (rows,) float32, in nats."""

    def __init__(self, head: Head):
        super().__init__()
        self.head = head
        self.log_softmax = ops.LogSoftmax(-1)

    def construct(self, h, table, targets):
        """Log-probability of each row's target."""
        log_probs = self.log_softmax(self.head(h, table))
        return ops.gather_elements(log_probs, 1, targets.expand_dims(1)).reshape(-1)


class TokenLogProbs(PlainTokenLogProbs):
    """The same, a chunk of rows at a time, its logits made again for the gradient.

    Unlike in `CrossEntropy`, the gradient g of each row's value is known only in the backward
    pass. With p = softmax(logits) and y the one-hot targets:

        d logits = g * (y - p)      dh = d logits table      dtable = d logits^T h

    Args:
        head: what makes the logits.
        chunk_bytes: the logits of one chunk are at most so large.
        frozen_table: the table is not trained, so its gradient is not made.
    """

    def __init__(self, head: Head, chunk_bytes: int = CHUNK_BYTES, frozen_table: bool = False):
        super().__init__(head)
        self.compute_dtype, self.chunk_bytes = head.compute_dtype, chunk_bytes
        self.frozen_table = frozen_table
        self.softmax = ops.Softmax(-1)
        self.matmul = ops.MatMul()
        self.transposed = ops.MatMul(transpose_a=True)

    def construct(self, h, table, targets):
        """Log-probability of each row's target."""
        rows = h.shape[0]
        size = chunk_rows(rows, table.shape[0], self.chunk_bytes)
        found = ()
        for begin in range(0, rows, size):
            end = begin + size if begin + size < rows else rows
            part = ops.depend(h[begin:end], found[-1]) if found else h[begin:end]
            log_probs = self.log_softmax(self.head(part, table))
            found += (ops.gather_elements(log_probs, 1, targets[begin:end].expand_dims(1)),)
        return ops.concat(found).reshape(-1)

    def bprop(self, h, table, targets, out, dout):
        """Gradients of h and table; targets are data."""
        rows = h.shape[0]
        size = chunk_rows(rows, table.shape[0], self.chunk_bytes)
        column = dout.reshape(-1, 1)
        weighted, wanted = h * column, ops.gather(table, targets, 0)
        dh, total = self.chunk(h[:size], table, weighted[:size], wanted[:size], column[:size])
        dhs = (dh,)
        for begin in range(size, rows, size):
            # Not min(): MindSpore finds no graph for the builtin in a gradient.
            end = begin + size if begin + size < rows else rows
            part = ops.depend(h[begin:end], total)  # the chunk before is then free
            columns = (weighted[begin:end], wanted[begin:end], column[begin:end])
            dh, product = self.chunk(part, table, *columns)
            dhs += (dh,)
            total = total + product
        if self.frozen_table:
            return ops.concat(dhs), ops.zeros_like(table), ops.zeros_like(targets)
        dtable = ops.tensor_scatter_add(total, targets.reshape(-1, 1), weighted)
        return ops.concat(dhs), dtable, ops.zeros_like(targets)

    def chunk(self, h, table, weighted, wanted, column):
        """Gradient of some rows of h, and their -p^T (g h); for a frozen table any number."""
        p = self.softmax(self.head(h, table)).astype(self.compute_dtype)
        dh = self.matmul(p, table.astype(self.compute_dtype)).astype(mstype.float32)
        dh = (wanted - dh) * column
        if self.frozen_table:
            return dh, dh[:1]
        product = self.transposed(p, weighted.astype(self.compute_dtype))
        return dh, -product.astype(mstype.float32)


class NativeTokenLogProbs(nn.Cell):
    """The same by the native kernel, its logits made again for the gradient."""

    def __init__(self, head: Head):
        super().__init__()
        from model.native.loss_cells import TokenLosses

        self.half = head.compute_dtype == mstype.bfloat16
        self.losses = TokenLosses(self.half)

    def construct(self, h, table, targets):
        """Log-probability of each row's target."""
        return -self.losses(h, table, targets)[0]

    def accumulate_into(self, buffer) -> None:
        """Let the kernel add the table's gradient to a `GradientBuffer`."""
        self.losses.accumulate(buffer.claim(buffer.table))


class NativeCrossEntropy(NativeTokenLogProbs):
    """The summed loss by the native kernel.

    When it accumulates, it is for training alone: gradients are made in the forward pass.
    """

    def __init__(self, head: Head):
        super().__init__(head)
        self.summed = None

    def construct(self, h, table, targets, weight):
        """Weighted sum of the losses in nats, and what the gradient needs."""
        if self.summed is not None:
            return self.summed(h, table, targets, weight)
        losses = self.losses(h, table, targets)[0]
        return ops.reduce_sum(losses * weight), None

    def accumulate_into(self, buffer) -> None:
        """Let the kernel add the table's gradient to a `GradientBuffer`, in the forward pass."""
        from model.native.loss_cells import SummedLoss

        self.summed = SummedLoss(self.half)
        self.summed.accumulate(buffer.claim(buffer.table))
