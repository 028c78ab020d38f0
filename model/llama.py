"""Llama2 (arXiv:2307.09288): the network, from token ids to hidden states and logits.

Shape letters: B batch, T time, D width, H query heads, K key-value heads, G = H / K, C head size,
V vocabulary. The residual stream is kept as (B T, D), in float32.
"""

import zlib

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from model.attention import attention, attention_mask
from model.config import ModelConfig
from model.dropout import Dropout
from model.feed_forward import FeedForward
from model.head import Head
from model.linear import Linear
from model.norm import RMSNorm
from model.rope import rope_tables, rotary

INIT_STD = 0.02


class Attention(nn.Cell):
    """Grouped-query self-attention with rotary positions."""

    def __init__(self, config: ModelConfig, compute_dtype, dense=Linear):
        super().__init__()
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        self.head_dim = config.head_dim
        bias = config.attention_bias
        self.wq = dense(config.dim, config.dim, compute_dtype, bias)
        self.wk = dense(config.dim, config.kv_dim, compute_dtype, bias)
        self.wv = dense(config.dim, config.kv_dim, compute_dtype, bias)
        self.wo = dense(config.dim, config.dim, compute_dtype)
        self.turn = rotary()
        self.attend = attention(config, compute_dtype)

    def heads(self, x, batch, n_heads):
        """(B T, n C) -> (B, n, T, C)."""
        return x.reshape(batch, -1, n_heads, self.head_dim).transpose(0, 2, 1, 3)

    def project(self, x, batch, q_angles, k_angles):
        """Rotated queries (B, H, T, C) and keys (B, K, T, C), and values (B, K, T, C)."""
        q = self.turn(self.heads(self.wq(x), batch, self.n_heads), *q_angles)
        k = self.turn(self.heads(self.wk(x), batch, self.n_kv_heads), *k_angles)
        return q, k, self.heads(self.wv(x), batch, self.n_kv_heads)

    def mix(self, q, k, v, mask):
        """Attend and project back: (B T, D)."""
        out = self.attend(q, k, v, mask).transpose(0, 2, 1, 3)
        return self.wo(out.reshape(out.shape[0] * out.shape[1], -1))

    def construct(self, x, mask, q_angles, k_angles):
        """Attend within x, (B T, D), as the batch's mask allows: (B T, D).

        The angles are pairs of cosines and sines, (B, H, T, C/2) and (B, K, T, C/2).
        """
        q, k, v = self.project(x, q_angles[0].shape[0], q_angles, k_angles)
        return self.mix(q, k, v, mask)


class Block(nn.Cell):
    """x + attention(norm(x)), then x + feed_forward(norm(x)).

    What is added goes through `dropout`, if there are keys for it; `number` counts the blocks.
    """

    def __init__(self, config: ModelConfig, compute_dtype, dense=Linear, dropout=None, number=0):
        super().__init__()
        self.dropout, self.salts = dropout, (2 * number + 1, 2 * number + 2)
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config, compute_dtype, dense)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config.dim, config.hidden_dim, compute_dtype, dense)

    def construct(self, x, mask, q_angles, k_angles, row_keys=None):
        """Map the residual stream, (B T, D) -> (B T, D)."""
        h = self.attention(self.attention_norm(x), mask, q_angles, k_angles)
        return self.merge(x, h, row_keys)

    def merge(self, x, h, row_keys=None):
        """Add the attention's output h, then the feed-forward, to the residual stream: (B T, D)."""
        x = x + self.drop(h.astype(mstype.float32), row_keys, 0)
        h = self.feed_forward(self.ffn_norm(x)).astype(mstype.float32)
        return x + self.drop(h, row_keys, 1)

    def drop(self, h, row_keys, place):
        """What the residual stream gets of h, (B T, D)."""
        return h if row_keys is None else self.dropout(h, row_keys, self.salts[place])


class Llama(nn.Cell):
    """The whole network; called with a batch it returns the final hidden states.

    Args:
        config: the shape; `vocab_size` must be known.
        compute_dtype: mindspore type of the matrix products; all else is float32.
        seed: of the initial weights; None: zeros, for weights that are put in later.
    """

    dense, table_dtype = Linear, np.float32

    def __init__(self, config: ModelConfig, compute_dtype=mstype.float32, seed: int | None = 0):
        super().__init__()
        self.config, self.compute_dtype = config, compute_dtype
        rows = (config.padded_vocab_size, config.dim)
        self.embedding = Parameter(Tensor(np.zeros(rows, self.table_dtype)))
        self.dropout = None
        if config.dropout:
            self.dropout = Dropout(config.dropout, config.max_seq_len, config.dim)
        parts = (config, compute_dtype, self.dense, self.dropout)
        self.layers = nn.CellList([Block(*parts, number) for number in range(config.n_layers)])
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = self.embedding
        if not config.tie_embeddings:
            self.output = Parameter(Tensor(np.zeros(rows, self.table_dtype)))
        self.head = Head(compute_dtype)
        cos, sin = rope_tables(config)
        self.cos, self.sin = Tensor(cos), Tensor(sin)
        self.mask = attention_mask(config, compute_dtype)
        if seed is not None:
            initialise(self, seed)

    def embed(self, tokens):
        """Rows of the embedding for tokens, (rows,): (rows, D) float32."""
        return ops.gather(self.embedding, tokens, 0)

    def angles(self, batch, n_heads, time):
        """Cosines and sines of the positions, each (B, n, T, C/2), for n heads."""
        shape = (batch, n_heads, time, self.config.head_dim // 2)
        return ops.broadcast_to(self.cos[:time], shape), ops.broadcast_to(self.sin[:time], shape)

    def construct(self, tokens, segment_ids, row_keys=None):
        """Final normalised hidden states of tokens, (B, T): (B T, D) float32.

        With row_keys, (B,) int32 from `dropout.row_keys`, elements are dropped, as in training.

        Angles are spread to full shape, and the mask is made, once for all layers: the CPU
        multiplies equal shapes much faster than it broadcasts.
        """
        batch, time = tokens.shape
        mask = self.mask(segment_ids)
        q_angles = self.angles(batch, self.config.n_heads, time)
        k_angles = self.angles(batch, self.config.n_kv_heads, time)
        x = self.embed(tokens.reshape(-1))
        if row_keys is not None:
            x = self.dropout(x, row_keys, 0)
        for layer in self.layers:
            x = layer(x, mask, q_angles, k_angles, row_keys)
        return self.norm(x)

    def logits(self, h):
        """Logits of the next id after hidden states h, (rows, D): (rows, V) float32."""
        return self.head(h, self.output)


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
