"""Decoding one token at a time with a key-value cache: static shapes, so one compilation."""

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore import dtype as mstype

from model.llama import Llama


class DecodeStep(nn.Cell):
    """The network on the next token of each row; it shares the network's Parameters.

    The cache of a layer is (B K T, C): row (b K + k) T + t holds position t of key head k of text
    b. So one scatter writes a position, and attention reads the cache as (B, K, T, C) without a
    transpose. Positions not written yet are masked, hence a new text needs no clearing.
    """

    def __init__(self, network: Llama, batch: int = 1):
        super().__init__(auto_prefix=False)
        config = network.config
        self.network, self.config, self.batch = network, config, batch
        self.shape = (batch, config.n_kv_heads, config.max_seq_len, config.head_dim)
        self.keys, self.values = self.empty_cache("keys"), self.empty_cache("values")
        first_rows = np.arange(batch * config.n_kv_heads) * config.max_seq_len
        self.first_rows = Tensor(first_rows, mstype.int32)
        self.scatter = ops.ScatterUpdate()

    def empty_cache(self, name: str) -> ParameterTuple:
        """One Parameter a layer, (B K T, C) float32."""
        zeros = np.zeros((int(np.prod(self.shape[:3])), self.shape[3]), np.float32)
        return ParameterTuple(
            Parameter(Tensor(zeros), name=f"cache.{i}.{name}", requires_grad=False)
            for i in range(self.config.n_layers)
        )

    def angles(self, position, n_heads):
        """Cosines and sines of a position for n heads, each (B, n, 1, C/2)."""
        shape = (self.batch, n_heads, 1, self.config.head_dim // 2)
        cos, sin = (ops.gather(t, position, 0) for t in (self.network.cos, self.network.sin))
        return ops.broadcast_to(cos, shape), ops.broadcast_to(sin, shape)

    def bias(self, position):
        """What is added to the scores to hide later positions: (B, K, G, T)."""
        row = ops.gather(self.network.causal, position, 2)
        groups = self.config.n_heads // self.config.n_kv_heads
        return ops.broadcast_to(row, (*self.shape[:2], groups, self.shape[2]))

    def store(self, cache, rows, x):
        """Write x, (B, K, 1, C), to rows of a cache, and read all in x's type: (B, K, T, C)."""
        new = x.reshape(-1, self.config.head_dim).astype(mstype.float32)
        return self.scatter(cache, rows, new).reshape(self.shape).astype(x.dtype)

    def construct(self, tokens, position):
        """Scores of the ids after tokens, (B,) int32, at a scalar position: (B, V) float32."""
        rows, bias = self.first_rows + position, self.bias(position)
        q_angles = self.angles(position, self.config.n_heads)
        k_angles = self.angles(position, self.config.n_kv_heads)
        x = ops.gather(self.network.embedding, tokens, 0)
        for layer, keys, values in zip(self.network.layers, self.keys, self.values):
            h = layer.attention_norm(x)
            q, k, v = layer.attention.project(h, self.batch, q_angles, k_angles)
            k, v = self.store(keys, rows, k), self.store(values, rows, v)
            x = layer.merge(x, layer.attention.mix(q, k, v, bias))
        return self.network.loss.logits(self.network.norm(x), self.network.output)


class Decoder:
    """Reads one text token by token; `position` counts the places of the context in use."""

    def __init__(self, network: Llama):
        self.step = DecodeStep(network)
        self.max_seq_len = network.config.max_seq_len
        self.sees_last_document = not network.config.document_mask
        self.position = 0

    def begin(self, eos_id: int) -> np.ndarray:
        """Begin a text as training saw it begin, after an <eos>; scores of its first id, (V,).

        Where attention is masked across documents, the text does not see that <eos>, and its
        place is used again.
        """
        self.position = 0
        scores = self.feed(eos_id)
        self.position = int(self.sees_last_document)
        return scores

    def feed(self, token: int) -> np.ndarray:
        """Read a token; scores of the next id, (V,) float32.

        Raises:
            ValueError: the context is full.
        """
        if self.position == self.max_seq_len:
            raise ValueError(f"the context of {self.max_seq_len} tokens is full")
        scores = self.step(Tensor([token], ms.int32), Tensor(self.position, ms.int32))
        self.position += 1
        return scores.asnumpy()[0]
