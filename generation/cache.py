"""The key-value cache and the two graphs that use it: a prompt in one pass, and one id a row.

A layer's cache is (B K L, C): row (b K + k) L + t holds position t of key head k of text b. So one
scatter writes positions, and attention reads the cache as (B, K, L, C) without a transpose.
Positions not written yet are masked, hence a new text needs no clearing.
"""

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore import dtype as mstype

from model.attention import MASKED, PlainAttention
from model.block_parts import parts_of
from model.config import ModelConfig
from model.feed_forward import PlainSwiGLU
from model.llama import Llama
from model.norm import PlainRMSNorm
from model.rope import PlainRotary


class Cache:
    """Keys and values of `length` (L) positions of `batch` texts, one Parameter a layer each."""

    def __init__(self, config: ModelConfig, batch: int, length: int):
        self.batch, self.length, self.n_layers = batch, length, config.n_layers
        self.shape = (batch, config.n_kv_heads, length, config.head_dim)
        # The row of position 0 of each text and head, (B, K).
        self.first_rows = np.arange(batch * config.n_kv_heads).reshape(batch, -1) * length
        self.keys, self.values = self._empty("keys"), self._empty("values")

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(p.nbytes for p in (*self.keys, *self.values))

    def _empty(self, name: str) -> ParameterTuple:
        zeros = np.zeros((int(np.prod(self.shape[:3])), self.shape[3]), np.float32)
        return ParameterTuple(
            Parameter(Tensor(zeros), name=f"cache.{i}.{name}", requires_grad=False)
            for i in range(self.n_layers)
        )


class Prefill(nn.Cell):
    """The network on the first P positions of each row at once; it shares the Parameters."""

    def __init__(self, network: Llama, cache: Cache, length: int):
        super().__init__(auto_prefix=False)
        self.network, self.keys, self.values = network, cache.keys, cache.values
        rows = cache.first_rows[:, :, None] + np.arange(length)
        self.rows = Tensor(rows.reshape(-1), mstype.int32)
        # Of one document, since a text begins one.
        self.segment_ids = Tensor(np.zeros((cache.batch, length)), mstype.int32)
        self.scatter = ops.ScatterUpdate()

    def construct(self, tokens, last):
        """Scores of the ids after each text, (B, V) float32.

        tokens, (B, P), are padded on the right; last, (B,), counts through the flattened batch to
        the end of each text. What the padding leaves in the cache is written over or masked later.
        """
        network, (batch, length) = self.network, tokens.shape
        mask = network.mask(self.segment_ids)
        q_angles, k_angles = network.all_angles(batch, length)
        cache_angles = network.angles(batch, network.config.n_kv_heads, length)
        x, added = network.embed(tokens.reshape(-1)), None
        for layer, keys, values in zip(network.layers, self.keys, self.values):
            x, y = layer.enter(x, added)
            q, k, v = layer.attention.project(y)
            for kept, new in zip((keys, values), layer.attention.cached(k, v, cache_angles)):
                self.scatter(kept, self.rows, new.reshape(-1, new.shape[3]).astype(mstype.float32))
            x, added = layer.merge(x, layer.attention.mix(q, k, v, mask, q_angles, k_angles))
        h = network.norm(ops.gather(x, last, 0) + ops.gather(added, last, 0))
        return network.logits(h)


class DecodeStep(nn.Cell):
    """The network on the next id of each row, at positions of their own; shares the Parameters.

    With a single position a row, the time axis is left out and no heads are transposed. Only the
    plain forms are used, on every device: around a cell with a gradient of its own, MindSpore
    copies a parameter that is used twice, which for a tied embedding takes longer than all else.
    """

    def __init__(self, network: Llama, cache: Cache):
        """Raises TypeError where a block has weights that the step would leave out."""
        super().__init__(auto_prefix=False)
        config = network.config
        for block in network.layers:
            parts_of(block)
        self.network, self.config, self.shape = network, config, cache.shape
        self.keys, self.values = cache.keys, cache.values
        self.first_rows = Tensor(cache.first_rows, mstype.int32)
        self.places = Tensor(np.arange(cache.length)[None], mstype.int32)
        self.groups = config.n_heads // config.n_kv_heads
        self.scatter = ops.ScatterUpdate()
        self.norm, self.turn = PlainRMSNorm(config.norm_eps), PlainRotary()
        self.mix, self.gate = PlainAttention(config.head_dim), PlainSwiGLU()

    def angles(self, positions):
        """Cosines and sines for the query and key heads together, each (B, H + K, C/2)."""
        heads = self.config.n_heads + self.config.n_kv_heads
        shape = (self.shape[0], heads, self.config.head_dim // 2)
        cos = ops.gather(self.network.cos, positions, 0).expand_dims(1)
        sin = ops.gather(self.network.sin, positions, 0).expand_dims(1)
        return ops.broadcast_to(cos, shape), ops.broadcast_to(sin, shape)

    def bias(self, positions):
        """What is added to the scores to hide later positions: (B, K, G, L)."""
        later = ops.greater(self.places, positions.expand_dims(1)).astype(mstype.float32)
        batch, n_kv_heads, length, _ = self.shape
        row = (later * MASKED).reshape(batch, 1, 1, length)
        return ops.broadcast_to(row, (batch, n_kv_heads, self.groups, length))

    def store(self, cache, rows, x):
        """Write x, (B, K C), to rows of a cache, and read all in x's type: (B, K, L, C)."""
        new = x.reshape(-1, self.config.head_dim).astype(mstype.float32)
        return self.scatter(cache, rows, new).reshape(self.shape).astype(x.dtype)

    def attend(self, attention, h, angles, bias, keys, values, rows):
        """The attention of one layer, its cache written: (B, D)."""
        batch, n_kv_heads, _, head_dim = self.shape
        n_heads = self.config.n_heads
        qk = ops.concat((attention.wq(h), attention.wk(h)), -1)
        qk = self.turn(qk.reshape(batch, n_heads + n_kv_heads, head_dim), *angles)
        q, k = ops.split(qk, [n_heads, n_kv_heads], 1)
        k = self.store(keys, rows, k)
        v = self.store(values, rows, attention.wv(h))
        q = q.reshape(batch, n_kv_heads, self.groups, head_dim)
        return attention.wo(self.mix(q, k, v, bias).reshape(batch, -1))

    def feed_forward(self, cell, h):
        """The feed-forward of one layer: (B, D)."""
        return cell.w2(self.gate(cell.w1(h), cell.w3(h)))

    def construct(self, tokens, positions):
        """Scores of the ids after tokens at positions, both (B,) int32: (B, V) float32."""
        rows = (self.first_rows + positions.expand_dims(1)).reshape(-1)
        return self.logits(tokens, positions, rows)

    def logits(self, tokens, positions, rows):
        """Scores, (B, V) float32; `rows` is what `store` needs to know of the cache."""
        network, bias, angles = self.network, self.bias(positions), self.angles(positions)
        x = network.embed(tokens)
        for layer, keys, values in zip(network.layers, self.keys, self.values):
            h = self.norm(x, layer.attention_norm.weight)
            h = self.attend(layer.attention, h, angles, bias, keys, values, rows)
            x = x + h.astype(mstype.float32)
            h = self.norm(x, layer.ffn_norm.weight)
            x = x + self.feed_forward(layer.feed_forward, h).astype(mstype.float32)
        return network.logits(self.norm(x, network.norm.weight))
