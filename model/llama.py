"""Llama2 (arXiv:2307.09288): the network, from token ids to hidden states and logits.

Shape letters: B batch, T time, D width, H query heads, K key-value heads, G = H / K, C head size,
V vocabulary. The residual stream is kept as (B T, D), in float32.
"""

import functools
import zlib

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from model.attention import attention, attention_mask
from model.config import ModelConfig
from model.dropout import Dropout
from model.feed_forward import FeedForward
from model.head import Head
from model.linear import Linear, shared_input
from model.norm import RMSNorm
from model.rope import rope_tables, rotary

INIT_STD = 0.02


class Attention(nn.Cell):
    """Grouped-query self-attention with rotary positions."""

    def __init__(self, config: ModelConfig, compute_dtype, dense=Linear, native: bool = False):
        super().__init__()
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        self.head_dim, self.native = config.head_dim, native
        bias = config.attention_bias
        self.wq = dense(config.dim, config.dim, compute_dtype, bias)
        self.wk = dense(config.dim, config.kv_dim, compute_dtype, bias)
        self.wv = dense(config.dim, config.kv_dim, compute_dtype, bias)
        self.wo = dense(config.dim, config.dim, compute_dtype)
        self.turn, self.projection = rotary(), None
        if native:
            from model.native.cells import Attention as NativeAttention

            self.attend = NativeAttention(config.n_heads, config.head_dim, config.document_mask)
        else:
            self.attend = attention(config, compute_dtype)

    def heads(self, x, batch, n_heads):
        """(B T, n C) -> (B, n, T, C)."""
        return x.reshape(batch, -1, n_heads, self.head_dim).transpose(0, 2, 1, 3)

    def project(self, x, row_keys=None):
        """Queries (B T, H C), keys and values (B T, K C), not rotated."""
        if self.projection is not None:
            return self.projection(x, (self.wq.weight, self.wk.weight, self.wv.weight))
        return self.wq(x, row_keys), self.wk(x, row_keys), self.wv(x, row_keys)

    def accumulate_into(self, buffer) -> None:
        """Let the native kernels sum the gradient of x as they add those of the weights."""
        self.projection = shared_input((self.wq, self.wk, self.wv), buffer)

    def cached(self, k, v, angles):
        """Keys, rotated, and values as a cache has them, both (B, K, T, C)."""
        batch = angles[0].shape[0]
        k = self.turn(self.heads(k, batch, self.n_kv_heads), *angles)
        return k, self.heads(v, batch, self.n_kv_heads)

    def mix(self, q, k, v, mask, q_angles, k_angles, row_keys=None):
        """Rotate, attend as the batch's mask allows, and project back: (B T, D).

        The angles are pairs of cosines and sines, (B, H, T, C/2) and (B, K, T, C/2), or the tables
        themselves, (T, C/2), for the native kernel.
        """
        if self.native:
            return self.wo(self.attend(q, k, v, *q_angles, mask)[0], row_keys)
        q = self.turn(self.heads(q, q_angles[0].shape[0], self.n_heads), *q_angles)
        k, v = self.cached(k, v, k_angles)
        out = self.attend(q, k, v, mask).transpose(0, 2, 1, 3)
        return self.wo(out.reshape(out.shape[0] * out.shape[1], -1), row_keys)

    def construct(self, x, mask, q_angles, k_angles, row_keys=None):
        """Attend within x, (B T, D): (B T, D); adapters drop by row_keys, (B,)."""
        q, k, v = self.project(x, row_keys)
        return self.mix(q, k, v, mask, q_angles, k_angles, row_keys)


class Block(nn.Cell):
    """x + attention(norm(x)), then x + feed_forward(norm(x)).

    What a block adds last is left to whatever norm comes next, since adding and normalising are one
    pass over memory. It goes through `dropout`, if there is one and keys for it; `number` counts
    the blocks.
    """

    def __init__(
        self, config: ModelConfig, compute_dtype, dense=Linear, dropout=None, number=0, native=False
    ):
        super().__init__()
        self.dropout, self.salts = dropout, (2 * number + 1, 2 * number + 2)
        self.attention_norm = RMSNorm(config.dim, config.norm_eps, native)
        self.attention = Attention(config, compute_dtype, dense, native)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps, native)
        self.feed_forward = FeedForward(config.dim, config.hidden_dim, compute_dtype, dense, native)

    def construct(self, x, added, mask, q_angles, k_angles, row_keys=None):
        """Map the residual stream and what is to be added to it, (B T, D) or None, to both."""
        x, y = self.enter(x, added)
        return self.merge(x, self.attention(y, mask, q_angles, k_angles, row_keys), row_keys)

    def enter(self, x, added):
        """The residual stream with `added` in it, and the attention's input: both (B T, D)."""
        if added is None:
            return x, self.attention_norm(x)
        return self.attention_norm.add(x, added)

    def merge(self, x, h, row_keys=None):
        """Add the attention's output h; returns the residual stream, and what is to be added."""
        x, y = self.ffn_norm.add(x, self.drop(h.astype(mstype.float32), row_keys, 0))
        h = self.feed_forward(y, row_keys).astype(mstype.float32)
        return x, self.drop(h, row_keys, 1)

    def drop(self, h, row_keys, place):
        """What the residual stream gets of h, (B T, D)."""
        if self.dropout is None or row_keys is None:
            return h
        return self.dropout(h, row_keys, self.salts[place])


class Llama(nn.Cell):
    """The whole network; called with a batch it returns the final hidden states.

    Args:
        config: the shape; `vocab_size` must be known.
        compute_dtype: mindspore type of the matrix products; all else is float32.
        seed: of the initial weights; None: zeros, for weights that are put in later.
        native: take the kernels of model/native, which need the CPU and float32.
    """

    dense, table_dtype = Linear, np.float32

    def __init__(
        self,
        config: ModelConfig,
        compute_dtype=mstype.float32,
        seed: int | None = 0,
        native: bool = False,
    ):
        super().__init__()
        self.config, self.compute_dtype = config, compute_dtype
        self.native = self.native_attention = native
        rows = (config.padded_vocab_size, config.dim)
        self.embedding = Parameter(Tensor(np.zeros(rows, self.table_dtype)))
        self.dropout = None
        if config.dropout:
            self.dropout = Dropout(config.dropout, config.max_seq_len, config.dim, native)
        dense = functools.partial(self.dense, native=True) if native else self.dense
        parts = (config, compute_dtype, dense, self.dropout)
        self.layers = nn.CellList(
            [Block(*parts, number, native) for number in range(config.n_layers)]
        )
        self.norm = RMSNorm(config.dim, config.norm_eps, native)
        self.output = self.embedding
        if not config.tie_embeddings:
            self.output = Parameter(Tensor(np.zeros(rows, self.table_dtype)))
        if config.value_head:  # of zeros: all values begin equal
            self.value_head = Parameter(Tensor(np.zeros(config.dim, np.float32)))
        self.head = Head(compute_dtype, native)
        cos, sin = rope_tables(config)
        self.cos, self.sin = Tensor(cos), Tensor(sin)
        self.mask = attention_mask(config, compute_dtype, native)
        if native:
            from model.native.cells import Embedding

            self.rows = Embedding()
        if seed is not None:
            initialise(self, seed)

    def embed(self, tokens):
        """Rows of the embedding for tokens, (rows,): (rows, D) float32."""
        if self.native:
            return self.rows(self.embedding, tokens, self.rows.start)
        return ops.gather(self.embedding, tokens, 0)

    def accumulate_into(self, buffer) -> None:
        """Let the native kernels add the embedding's gradient to a `GradientBuffer`."""
        self.rows.accumulate(buffer.claim(self.embedding))
        self.rows.set_start(buffer.start)

    def angles(self, batch, n_heads, time):
        """Cosines and sines of the positions, each (B, n, T, C/2), for n heads."""
        shape = (batch, n_heads, time, self.config.head_dim // 2)
        return ops.broadcast_to(self.cos[:time], shape), ops.broadcast_to(self.sin[:time], shape)

    def all_angles(self, batch, time):
        """The angles of queries and keys as attention takes them."""
        if self.native_attention:
            tables = (self.cos[:time], self.sin[:time])
            return tables, tables
        heads, kv_heads = self.config.n_heads, self.config.n_kv_heads
        return self.angles(batch, heads, time), self.angles(batch, kv_heads, time)

    def construct(self, tokens, segment_ids, row_keys=None):
        """Final normalised hidden states of tokens, (B, T): (B T, D) float32.

        With row_keys, (B,) int32 from `dropout.row_keys`, elements are dropped, as in training.

        Angles are spread to full shape, and the mask is made, once for all layers: the CPU
        multiplies equal shapes much faster than it broadcasts.
        """
        mask, (q_angles, k_angles) = self.mask(segment_ids), self.all_angles(*tokens.shape)
        x, added = self.embed(tokens.reshape(-1)), None
        if self.dropout is not None and row_keys is not None:
            x = self.dropout(x, row_keys, 0)
        for layer in self.layers:
            x, added = layer(x, added, mask, q_angles, k_angles, row_keys)
        return self.norm.add(x, added)[1]

    def logits(self, h):
        """Logits of the next id after hidden states h, (rows, D): (rows, V) float32."""
        return self.head(h, self.output)

    def values(self, h):
        """The value head's numbers for hidden states h, (rows, D): (rows,) float32."""
        return ops.reduce_sum(h * self.value_head, -1)


class Logits(nn.Cell):
    """A network as a function from tokens to logits; it shares the network's Parameters."""

    def __init__(self, network: Llama):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, tokens, segment_ids):
        """Logits of the next id after each of tokens, (B, T): (B, T, V) float32."""
        logits = self.network.logits(self.network(tokens, segment_ids))
        return logits.reshape(*tokens.shape, -1)


def initialise(model: Llama, seed: int) -> None:
    """Draw the initial weights: N(0, 0.02), residual projections scaled by 1 / sqrt(2 N).

    The scaling is GPT-2's, for `wo` and `w2`, which write to the residual stream. Each tensor has
    a stream of its own from (seed, name), so no weight depends on the order of creation.
    """
    residual_std = INIT_STD / np.sqrt(2 * model.config.n_layers)
    for name, parameter in model.parameters_and_names():
        if parameter.ndim < 2:
            continue
        std = residual_std if name.endswith(("wo.weight", "w2.weight")) else INIT_STD
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        values = rng.standard_normal(parameter.shape, dtype=np.float32) * np.float32(std)
        parameter.set_data(Tensor(values))
