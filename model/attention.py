"""Causal grouped-query attention (arXiv:2305.13245), with an optional document mask."""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.device import on_cpu

# Added in float32: exp() of it is 0.
MASKED = -1e9


def causal_bias(seq_len: int) -> Tensor:
    """What is added to the scores so that a position sees itself and earlier ones: (1, 1, T, T)."""
    bias = np.triu(np.full((seq_len, seq_len), MASKED, np.float32), 1)
    return Tensor(bias[None, None])


def document_bias(segment_ids, causal):
    """`causal`, (1, 1, T, T), further masked across documents: (B, 1, T, T).

    segment_ids, (B, T), numbers the documents of each row.
    """
    same = ops.equal(segment_ids.expand_dims(2), segment_ids.expand_dims(1))
    other = (1.0 - same.astype(mstype.float32)) * MASKED
    return ops.minimum(causal, other.expand_dims(1))


def attention(head_dim: int) -> nn.Cell:
    """The form of attention that suits the device target: a cell of (q, k, v, bias)."""
    return CpuAttention(head_dim) if on_cpu() else PlainAttention(head_dim)


class PlainAttention(nn.Cell):
    """The reference form: softmax(q k^T / sqrt(C) + bias) v, its softmax in float32.

    q is (B, K, G T, C): the G query heads that share a key head stand one after the other along
    the time axis, so that no key or value is repeated. k and v are (B, K, T, C), bias is
    (B, K, G T, T).
    """

    def __init__(self, head_dim: int):
        super().__init__()
        self.scale = head_dim**-0.5
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.mix = ops.BatchMatMul()
        self.softmax = ops.Softmax(-1)

    def probabilities(self, q, k, bias):
        """Attention weights, (B, K, G T, T) float32."""
        return self.softmax(self.scores(q * self.scale, k).astype(mstype.float32) + bias)

    def construct(self, q, k, v, bias):
        """Attend: (B, K, G T, C) in the type of v."""
        return self.mix(self.probabilities(q, k, bias).astype(v.dtype), v)


class CpuAttention(PlainAttention):
    """The same with a gradient that takes fewer passes over the (G T, T) weights.

    With p the weights, ds = p * (dp - rowsum(dout * out)), where dp = dout v^T (the formula is
    FlashAttention's, arXiv:2205.14135, without its tiles). The row sum is subtracted inside that
    product, as one more column of dout against a column of ones beside v: a broadcast along the
    last axis is slow and large on the CPU. MindSpore finds p in the forward graph and does not
    compute it again.
    """

    def __init__(self, head_dim: int):
        super().__init__(head_dim)
        self.minus_ones = Tensor(np.full((head_dim, 1), -1, np.float32))
        self.matmul = ops.MatMul()
        self.transposed = ops.BatchMatMul(transpose_a=True)

    def bprop(self, q, k, v, bias, out, dout):
        """Gradients of q, k and v; the bias is a constant."""
        p = self.probabilities(q, k, bias)
        dv = self.transposed(p.astype(v.dtype), dout)
        rows = (dout * out).astype(mstype.float32).reshape(-1, out.shape[-1])
        minus_row_sum = self.matmul(rows, self.minus_ones).reshape(*out.shape[:-1], 1)
        ones = ops.ones((*v.shape[:-1], 1), v.dtype)
        difference = self.scores(
            ops.concat((dout, minus_row_sum.astype(dout.dtype)), -1), ops.concat((v, ones), -1)
        )
        ds = (p * difference.astype(mstype.float32)).astype(q.dtype)
        dq = self.mix(ds, k) * self.scale
        dk = self.transposed(ds, q) * self.scale
        return dq, dk, dv, ops.zeros_like(bias)
