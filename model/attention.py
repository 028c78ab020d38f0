"""Causal grouped-query attention (arXiv:2305.13245), with an optional document mask.

Each form is a cell of (q, k, v, mask) and goes with a cell that makes `mask` of a batch, once for
all layers: only the two know what it is.
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.config import ModelConfig
from model.device import on_ascend, on_cpu
from model.flash_attention import FlashAttention, FlashMask, fits_kernel

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


def attention(config: ModelConfig, compute_dtype) -> nn.Cell:
    """The form of attention that suits the device target: a cell of (q, k, v, mask).

    q is (B, H, T, C), k and v are (B, K, T, C), of type `compute_dtype`; the result is like q.
    """
    if _fused(config, compute_dtype):
        return FlashAttention(config.n_heads, config.head_dim)
    return CpuAttention(config.head_dim) if on_cpu() else PlainAttention(config.head_dim)


def attention_mask(config: ModelConfig, compute_dtype, native: bool = False) -> nn.Cell:
    """What makes the mask for `attention` of the same arguments: a cell of segment_ids, (B, T)."""
    if native:
        return Segments()
    if _fused(config, compute_dtype):
        return FlashMask(config.document_mask)
    return AttentionBias(config)


def _fused(config: ModelConfig, compute_dtype) -> bool:
    return on_ascend() and fits_kernel(config.head_dim, compute_dtype)


class Segments(nn.Cell):
    """The document numbers as they are, (B T): what the native kernel takes for a mask."""

    def construct(self, segment_ids):
        """One axis for segment_ids, (B, T)."""
        return segment_ids.reshape(-1)


class AttentionBias(nn.Cell):
    """What is added to the scores of a batch: (B, K, G T, T), for the plain and the CPU form.

    It is spread to full shape, since the CPU adds equal shapes much faster than it broadcasts.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.max_seq_len, self.document_mask = config.max_seq_len, config.document_mask
        self.n_kv_heads, self.groups = config.n_kv_heads, config.n_heads // config.n_kv_heads
        self.causal = causal_bias(config.max_seq_len)

    def construct(self, segment_ids):
        """The bias for rows whose documents segment_ids, (B, T), numbers."""
        batch, time = segment_ids.shape
        bias = self.causal if time == self.max_seq_len else self.causal[:, :, :time, :time]
        if self.document_mask:
            bias = document_bias(segment_ids, bias)
        bias = ops.concat([bias] * self.groups, 2) if self.groups > 1 else bias
        return ops.broadcast_to(bias, (batch, self.n_kv_heads, self.groups * time, time))


class PlainAttention(nn.Cell):
    """The reference form: softmax(q k^T / sqrt(C) + bias) v, its softmax in float32."""

    def __init__(self, head_dim: int):
        super().__init__()
        self.scale = head_dim**-0.5
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.mix = ops.BatchMatMul()
        self.softmax = ops.Softmax(-1)

    def grouped(self, x, k):
        """(B, H, T, C) -> (B, K, G T, C).

        The G query heads that share a key head stand one after the other along the time axis, so
        that no key or value is repeated.
        """
        return x.reshape(*k.shape[:2], -1, x.shape[-1])

    def probabilities(self, q, k, bias):
        """Attention weights, (B, K, G T, T) float32, of grouped queries."""
        return self.softmax(self.scores(q * self.scale, k).astype(mstype.float32) + bias)

    def construct(self, q, k, v, bias):
        """Attend, as bias, (B, K, G T, T), allows: (B, H, T, C) in the type of v."""
        p = self.probabilities(self.grouped(q, k), k, bias)
        return self.mix(p.astype(v.dtype), v).reshape(q.shape)


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
        shape = q.shape
        q, out, dout = self.grouped(q, k), self.grouped(out, k), self.grouped(dout, k)
        p = self.probabilities(q, k, bias)
        dv = self.transposed(p.astype(v.dtype), dout)
        rows = (dout * out).astype(mstype.float32).reshape(-1, out.shape[-1])
        minus_row_sum = self.matmul(rows, self.minus_ones).reshape(*out.shape[:-1], 1)
        ones = ops.ones((*v.shape[:-1], 1), v.dtype)
        difference = self.scores(
            ops.concat((dout, minus_row_sum.astype(dout.dtype)), -1), ops.concat((v, ones), -1)
        )
        ds = (p * difference.astype(mstype.float32)).astype(q.dtype)
        dq = (self.mix(ds, k) * self.scale).reshape(shape)
        dk = self.transposed(ds, q) * self.scale
        return dq, dk, dv, ops.zeros_like(bias)
