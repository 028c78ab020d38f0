"""Attention by the fused kernel of Ascend NPUs (FlashAttention, arXiv:2205.14135).

Written from the operator's documentation and compared with a model of it in the tests; **not run on
an NPU yet**. No (T, T) mask is made: one compressed triangle says to the kernel what is causal,
and where documents end by a list of lengths ("TND": all rows one after the other, in sequences that
do not see each other).
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

TRIANGLE = 2048
"""Side of the triangle that the kernel expects with `sparse_mode` 2, whatever T is."""
LEFT_UP_CAUSAL = 2
MAX_SEQUENCES = 1024
"""That one call can take in the layout TND."""


def fits_kernel(head_dim: int, compute_dtype) -> bool:
    """Whether the kernel takes heads of this size and products of this type."""
    half = compute_dtype in (mstype.float16, mstype.bfloat16)
    return half and head_dim % 16 == 0 and head_dim <= 512


def rows_a_call(batch: int, time: int) -> int:
    """How many of `batch` rows of `time` ids one call takes, so that its documents are few enough.

    Where a row has at most 1,024 ids, each could be a document. Of a longer row the first 1,023
    documents are separated and the rest is one: with 2,048 ids, that takes documents of two ids.
    """
    return min(batch, max(1, MAX_SEQUENCES // time))


def document_ends(segment_ids):
    """Where documents end, counted through rows of segment_ids, (R, T): (min(R T, 1024),) int32.

    How many documents there are is not known when the graph is compiled, so the list is filled up
    with R T: sequences of no length, which the operator's documentation allows and MindFormers uses
    in the same way.
    """
    rows, time = segment_ids.shape
    total = rows * time
    size = min(total, MAX_SEQUENCES)
    changes = ops.not_equal(segment_ids[:, 1:], segment_ids[:, :-1])
    last = ops.concat((changes, ops.ones((rows, 1), mstype.bool_)), 1).reshape(-1)
    # Sorted as float32, in which an NPU sorts; counts below 2^24 are exact.
    places = ops.arange(1, total + 1).astype(mstype.float32)
    ends = ops.sort(ops.select(last, places, ops.full_like(places, total)))[0]
    return ops.concat((ends[: size - 1], ends[-1:])).astype(mstype.int32)


class FlashMask(nn.Cell):
    """What `FlashAttention` gets for a batch: the triangle, and document ends a call, if any."""

    def __init__(self, document_mask: bool):
        super().__init__()
        self.document_mask = document_mask
        # 1: not seen.
        self.triangle = Tensor(np.triu(np.ones((TRIANGLE, TRIANGLE), np.uint8), 1))

    def construct(self, segment_ids):
        """A tuple for rows whose documents segment_ids, (B, T), numbers."""
        mask = (self.triangle,)
        if self.document_mask:
            batch, time = segment_ids.shape
            rows = rows_a_call(batch, time)
            for begin in range(0, batch, rows):
                mask += (document_ends(segment_ids[begin : begin + rows]),)
        return mask


class FlashAttention(nn.Cell):
    """softmax(q k^T / sqrt(C)) v over what `FlashMask` lets each position see.

    q is (B, H, T, C), k and v are (B, K, T, C), in float16 or bfloat16; the softmax is the
    kernel's, in float32.
    """

    def __init__(self, n_heads: int, head_dim: int):
        super().__init__()
        self.n_heads, self.scale = n_heads, head_dim**-0.5

    def construct(self, q, k, v, mask):
        """Attend: (B, H, T, C)."""
        triangle, ends = mask[0], mask[1:]
        if len(ends) == 0:
            return self.score(q, k, v, triangle, None, "BNSD")
        batch, time = q.shape[0], q.shape[2]
        rows = rows_a_call(batch, time)
        q, k, v = q.transpose(0, 2, 1, 3), k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
        outs = ()
        for call in range(len(ends)):
            begin, end = call * rows, (call + 1) * rows
            parts = self.joined(q[begin:end]), self.joined(k[begin:end]), self.joined(v[begin:end])
            outs += (self.score(*parts, triangle, ends[call], "TND"),)
        out = ops.concat(outs) if len(outs) > 1 else outs[0]
        return out.reshape(batch, time, self.n_heads, -1).transpose(0, 2, 1, 3)

    def joined(self, x):
        """(R, T, n, C) -> (R T, n, C)."""
        return x.reshape(-1, *x.shape[2:])

    def score(self, q, k, v, triangle, ends, layout):
        """The kernel."""
        return ops.flash_attention_score(
            q, k, v, self.n_heads, attn_mask=triangle, actual_seq_qlen=ends, actual_seq_kvlen=ends,
            scalar_value=self.scale, next_tokens=0, input_layout=layout,
            sparse_mode=LEFT_UP_CAUSAL,
        )  # fmt: skip
