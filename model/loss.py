"""Output layer and cross-entropy in one function, so that logits need not outlive it."""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.device import on_cpu

# The smallest normal float32: keeps log() finite where a probability underflows.
TINY = float(np.finfo(np.float32).tiny)


def output_loss(dim: int, compute_dtype) -> nn.Cell:
    """The form that suits the device target: a cell of (h, table, targets, weight)."""
    return CpuOutputLoss(dim, compute_dtype) if on_cpu() else PlainOutputLoss(compute_dtype)


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


class CpuOutputLoss(PlainOutputLoss):
    """The same with one softmax over the (rows, V) logits for value and gradient.

    With p the probabilities and y the one-hot targets, the gradient of the logits is
    weight * (p - y). Neither y nor the weighted matrix is formed: the weights scale the small
    factor of each product, and y selects rows.
    """

    def __init__(self, dim: int, compute_dtype):
        super().__init__(compute_dtype)
        self.softmax = ops.Softmax(-1)
        self.row = Tensor(np.ones((1, dim), np.float32))
        self.matmul = ops.MatMul()
        self.transposed = ops.MatMul(transpose_a=True)

    def construct(self, h, table, targets, weight):
        """Weighted sum of the losses in nats, and the probabilities for the gradient."""
        p = self.softmax(self.logits(h, table))
        likelihood = ops.gather_elements(p, 1, targets.expand_dims(1)).reshape(-1)
        losses = -ops.log(ops.maximum(likelihood, TINY))
        return ops.reduce_sum(losses * weight), p

    def bprop(self, h, table, targets, weight, out, dout):
        """Gradients of h and table; targets and weight are data."""
        p = out[1].astype(self.compute_dtype)
        spread = self.matmul((weight * dout[0]).reshape(-1, 1), self.row)
        dh = (
            self.matmul(p, table.astype(self.compute_dtype)).astype(mstype.float32)
            - ops.gather(table, targets, 0)
        ) * spread
        weighted = h * spread
        dtable = self.transposed(p, weighted.astype(self.compute_dtype)).astype(mstype.float32)
        dtable = ops.tensor_scatter_add(dtable, targets.reshape(-1, 1), -weighted)
        return dh, dtable, ops.zeros_like(targets), ops.zeros_like(weight)
