"""Output layer and cross-entropy in one function, so that logits need not outlive it."""

import numpy as np
from mindspore import dtype as mstype
from mindspore import nn, ops

BYTES_FLOAT32 = 4
CHUNK_BYTES = 128 << 20
# The smallest normal float32: keeps log() finite where a probability underflows.
TINY = float(np.finfo(np.float32).tiny)


def chunk_rows(rows: int, vocab_size: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """How many of `rows` to score at a time, in equal chunks whose logits fit `chunk_bytes`."""
    n_chunks = -(-rows * vocab_size * BYTES_FLOAT32 // chunk_bytes)
    return -(-rows // n_chunks)


class PlainOutputLoss(nn.Cell):
    """The reference form: sum of weight * -log softmax(h table^T)[target], softmax in float32.

    h is (rows, D) float32, table (V, D) float32, targets (rows,) int32, weight (rows,) float32.
    Returns a scalar in nats, and what the gradient needs beside the inputs (here nothing).
    """

    def __init__(self, compute_dtype):
        super().__init__()
        self.compute_dtype = compute_dtype
        self.product = ops.MatMul(transpose_b=True)

    def logits(self, h, table):
        """Scores of every id, (rows, V) float32."""
        h, table = h.astype(self.compute_dtype), table.astype(self.compute_dtype)
        return self.product(h, table).astype(mstype.float32)

    def construct(self, h, table, targets, weight):
        """Weighted sum of the losses in nats."""
        losses = ops.cross_entropy(self.logits(h, table), targets, reduction="none")
        return ops.reduce_sum(losses * weight), None


class OutputLoss(PlainOutputLoss):
    """The same without ever holding all logits: value and gradient, a chunk of rows at a time.

    With p the probabilities and y the one-hot targets, the gradient of the logits is
    weight * (p - y), so it is known as soon as the value is, and a chunk's logits are never needed
    again. Neither y nor the weighted matrix is formed: the weights scale the small factor of each
    product, and y selects rows.

    Args:
        compute_dtype: mindspore type of the products.
        chunk_bytes: the logits of one chunk are at most so large.
    """

    def __init__(self, compute_dtype, chunk_bytes: int = CHUNK_BYTES):
        super().__init__(compute_dtype)
        self.chunk_bytes = chunk_bytes
        self.softmax = ops.Softmax(-1)
        self.matmul = ops.MatMul()
        self.transposed = ops.MatMul(transpose_a=True)

    def construct(self, h, table, targets, weight):
        """Weighted sum of the losses in nats, and its gradients of h and of table."""
        rows = h.shape[0]
        size = chunk_rows(rows, table.shape[0], self.chunk_bytes)
        column = weight.reshape(-1, 1)
        weighted, wanted = h * column, ops.gather(table, targets, 0)
        values, dhs, dtable = (), (), None
        for begin in range(0, rows, size):
            end = min(begin + size, rows)
            # Waits for the chunk before, whose logits are then free.
            part = h[begin:end] if dtable is None else ops.depend(h[begin:end], dtable)
            p = self.softmax(self.logits(part, table))
            likelihood = ops.gather_elements(p, 1, targets[begin:end].expand_dims(1)).reshape(-1)
            losses = -ops.log(ops.maximum(likelihood, TINY))
            values += (ops.reduce_sum(losses * weight[begin:end]),)
            p = p.astype(self.compute_dtype)
            dh = self.matmul(p, table.astype(self.compute_dtype)).astype(mstype.float32)
            dhs += ((dh - wanted[begin:end]) * column[begin:end],)
            product = self.transposed(p, weighted[begin:end].astype(self.compute_dtype))
            product = product.astype(mstype.float32)
            dtable = product if dtable is None else dtable + product
        dtable = ops.tensor_scatter_add(dtable, targets.reshape(-1, 1), -weighted)
        return sum(values), ops.concat(dhs), dtable

    def bprop(self, h, table, targets, weight, out, dout):
        """Gradients of h and table; targets and weight are data."""
        return out[1] * dout[0], out[2] * dout[0], ops.zeros_like(targets), ops.zeros_like(weight)
