"""Shifted sparse attention (LongLoRA, arXiv:2309.12307): a form of attention for training only.

A long row is cut into groups of G positions. Half of the key heads, with their query heads, attend
within these groups; the other half within groups that begin G / 2 earlier, so that what is known
flows from group to group, layer by layer. The cost grows with T G where full attention's grows
with T^2. The paper shifts by rolling the row, which lets the first positions see the last; here
the shifted half is padded by G / 2 positions at both ends, and nothing sees what comes after it.
"""

from mindspore import dtype as mstype
from mindspore import nn, ops

from model.attention import CpuAttention, PlainAttention, causal_bias, document_bias
from model.config import ModelConfig
from model.device import on_cpu

PADDING = -1
"""Document of the padded positions: none of the row's own."""


class Documents(nn.Cell):
    """The mask of `ShiftedAttention`: the document of each position, (B, T)."""

    def __init__(self, document_mask: bool):
        super().__init__()
        self.document_mask = document_mask

    def construct(self, segment_ids):
        """segment_ids, (B, T), as they are, or all alike where documents see each other."""
        return segment_ids if self.document_mask else ops.zeros_like(segment_ids)


class ShiftedAttention(nn.Cell):
    """Attention of (q, k, v, documents) within groups of G positions, half of the heads shifted.

    q is (B, H, T, C), k and v are (B, K, T, C), documents (B, T) from `Documents`. A row of at most
    G positions is attended to as a whole. One key head: half of its query heads are shifted.
    """

    def __init__(self, head_dim: int, group: int):
        super().__init__()
        self.group = group
        self.attend = CpuAttention(head_dim) if on_cpu() else PlainAttention(head_dim)
        self.causal = causal_bias(group)

    def construct(self, q, k, v, documents):
        """Attend: (B, H, T, C) in the type of v."""
        batch, n_heads, time, size = q.shape
        n_kv_heads = k.shape[1]
        if time <= self.group:
            return self.within(q, k, v, documents, self.causal[:, :, :time, :time], time)
        if n_kv_heads == 1:  # lent to both halves of the query heads
            k, v, n_kv_heads = ops.concat((k, k), 1), ops.concat((v, v), 1), 2
        kept = n_kv_heads // 2
        q_kept = kept * (n_heads // n_kv_heads)
        rest = -time % self.group
        plain = [self.padded(x, 0, rest) for x in (q[:, :q_kept], k[:, :kept], v[:, :kept])]
        plain = self.within(*plain, self.beside(documents, 0, rest), self.causal, self.group)
        half = self.group // 2
        rest = -(time + half) % self.group
        shifted = [self.padded(x, half, rest) for x in (q[:, q_kept:], k[:, kept:], v[:, kept:])]
        shifted = self.within(*shifted, self.beside(documents, half, rest), self.causal, self.group)
        return ops.concat((plain[:, :, :time], shifted[:, :, half : half + time]), 1)

    def padded(self, x, before, after):
        """x, (B, n, T, C), with zeros before and after its positions."""
        batch, heads, _, size = x.shape
        parts = (x,)
        if before:
            parts = (ops.zeros((batch, heads, before, size), x.dtype), *parts)
        if after:
            parts = (*parts, ops.zeros((batch, heads, after, size), x.dtype))
        return ops.concat(parts, 2) if len(parts) > 1 else x

    def beside(self, documents, before, after):
        """documents, (B, T), with positions of none before and after."""
        batch = documents.shape[0]
        parts = (documents,)
        if before:
            parts = (ops.full((batch, before), PADDING, dtype=mstype.int32), *parts)
        if after:
            parts = (*parts, ops.full((batch, after), PADDING, dtype=mstype.int32))
        return ops.concat(parts, 1) if len(parts) > 1 else documents

    def within(self, q, k, v, documents, causal, group):
        """Attend within each group of positions: (B, n, T, C), T a multiple of `group`."""
        batch, heads, time, size = q.shape
        n_groups = time // group
        bias = self.bias(documents.reshape(-1, group), causal, k.shape[1], heads // k.shape[1])
        out = self.attend(*(self.grouped(x, n_groups, group) for x in (q, k, v)), bias)
        out = out.reshape(batch, n_groups, heads, group, size).transpose(0, 2, 1, 3, 4)
        return out.reshape(batch, heads, time, size)

    def grouped(self, x, n_groups, group):
        """(B, n, T, C) -> (B T/G, n, G, C)."""
        batch, heads, _, size = x.shape
        x = x.reshape(batch, heads, n_groups, group, size).transpose(0, 2, 1, 3, 4)
        return x.reshape(batch * n_groups, heads, group, size)

    def bias(self, documents, causal, n_kv_heads, queries):
        """What is added to the logits of each group: (B T/G, K, H/K G, G)."""
        rows, group = documents.shape
        bias = document_bias(documents, causal)
        bias = ops.concat([bias] * queries, 2) if queries > 1 else bias
        return ops.broadcast_to(bias, (rows, n_kv_heads, queries * group, group))


def use_shifted_attention(network: nn.Cell, group: int) -> None:
    """Let a network attend within groups of so many positions, from now on.

    Raises:
        ValueError: it has only one head.
    """
    config: ModelConfig = network.config
    if config.n_heads == 1:
        raise ValueError("adapter.attention_group needs two heads or more, but model.n_heads is 1")
    for layer in network.layers:
        layer.attention.attend = ShiftedAttention(config.head_dim, group)
        layer.attention.native = False
    network.native_attention = False
    network.mask = Documents(config.document_mask)


def with_full_attention(network: nn.Cell, plain: nn.Cell) -> nn.Cell:
    """`plain`, a network of the same shape and adapters, with the Parameters of `network`.

    With it a network is measured as it will be used while it is trained by groups.
    """
    cells = dict(network.cells_and_names())
    for name, cell in plain.cells_and_names():
        for key, parameter in cells[name].parameters_and_names(expand=False):
            setattr(cell, key, parameter)
    if plain.config.tie_embeddings:
        plain.output = plain.embedding
    return plain
