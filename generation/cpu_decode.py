"""The decode step on the CPU: the numbers of `DecodeStep`, from kernels that Numba compiles.

With one new id a row, the step is a walk through all weights. The kernels read them about as fast
as the memory gives them, where a graph pays for each operator and its products are made for taller
matrices. A `Parameter` lends its memory to numpy, so nothing is copied, and the cache is the one
that `Prefill` fills.
"""

from dataclasses import dataclass

import numpy as np
from mindspore import Parameter

from generation.cache import Cache
from generation.cpu_kernels import attend, multiply, use_wide_vectors
from model.llama import Llama


@dataclass(frozen=True)
class Product:
    """x W^T (+ b) for x, (B, D), sharing the memory of its Parameters."""

    weight: np.ndarray
    scales: np.ndarray | None = None
    """what each row of an int8 weight is multiplied by, (1, N)"""
    bias: np.ndarray | None = None

    @classmethod
    def of(cls, cell) -> "Product":
        """That of a `Linear` or an `Int8Linear`."""
        return cls(*map(shared, (cell.weight, getattr(cell, "scales", None), cell.bias)))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Map x, (B, D) -> (B, N)."""
        out = np.empty((len(x), len(self.weight)), np.float32)
        multiply(x, self.weight, out)
        if self.scales is not None:
            out *= self.scales
        if self.bias is not None:
            out += self.bias
        return out


def shared(parameter: Parameter | None) -> np.ndarray | None:
    """The memory of a Parameter, until something else is put into it."""
    return None if parameter is None else parameter.asnumpy()


class Layer:
    """One block with its cache."""

    def __init__(self, block, keys: Parameter, values: Parameter):
        attention, feed_forward = block.attention, block.feed_forward
        self.attention_norm = shared(block.attention_norm.weight)
        self.ffn_norm = shared(block.ffn_norm.weight)
        self.wq, self.wk, self.wv, self.wo, self.w1, self.w2, self.w3 = map(
            Product.of,
            (attention.wq, attention.wk, attention.wv, attention.wo,
             feed_forward.w1, feed_forward.w2, feed_forward.w3),
        )  # fmt: skip
        self.keys, self.values = shared(keys), shared(values)


class CpuDecodeStep:
    """Maps the next id of each row to the scores of the one after it.

    It shares the memory that weights and cache have when it is made: make a new one after a
    prefill, and after weights were put in.
    """

    def __init__(self, network: Llama, cache: Cache):
        use_wide_vectors()
        self.config, self.first_rows = network.config, cache.first_rows
        self.cos, self.sin = network.cos.asnumpy(), network.sin.asnumpy()
        self.embedding = shared(network.embedding)
        self.embedding_scales = shared(getattr(network, "embedding_scales", None))
        self.layers = [Layer(*fields) for fields in zip(network.layers, cache.keys, cache.values)]
        self.norm_weight = shared(network.norm.weight)
        self.output = Product(shared(network.output), shared(getattr(network.head, "scales", None)))

    def __call__(self, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Scores of the ids after tokens at positions, both (B,) int32: (B, V) float32."""
        x = self.embed(tokens)
        cos, sin = self.cos[positions, None], self.sin[positions, None]
        rows = self.first_rows + positions[:, None]
        for layer in self.layers:
            h = self.norm(x, layer.attention_norm)
            q, k, v = (w(h).reshape(*rows.shape[:1], -1, self.config.head_dim)
                       for w in (layer.wq, layer.wk, layer.wv))  # fmt: skip
            layer.keys[rows], layer.values[rows] = turn(k, cos, sin), v
            mixed = np.empty_like(q)
            attend(turn(q, cos, sin), layer.keys, layer.values, self.first_rows, positions, mixed)
            x = x + layer.wo(mixed.reshape(len(x), -1))
            h = self.norm(x, layer.ffn_norm)
            x = x + layer.w2(gate(layer.w1(h), layer.w3(h)))
        return self.output(self.norm(x, self.norm_weight))

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        """Rows of the embedding for tokens, (B,): (B, D) float32."""
        x = self.embedding[tokens]
        if self.embedding_scales is None:
            return x
        return x * self.embedding_scales[0, tokens, None]

    def norm(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """RMSNorm of x, (B, D)."""
        mean = np.einsum("bd,bd->b", x, x) / np.float32(x.shape[1])
        return x / np.sqrt(mean + np.float32(self.config.norm_eps))[:, None] * weight


def turn(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Rotary turn of x, (B, n, C), by the angles of its positions, (B, 1, C/2)."""
    half = cos.shape[-1]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * cos - b * sin, b * cos + a * sin), -1)


def gate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """silu(a) * b, both (B, F)."""
    with np.errstate(over="ignore"):  # exp() of a large number is infinite, and the gate then 0
        return a / (1 + np.exp(-a)) * b
