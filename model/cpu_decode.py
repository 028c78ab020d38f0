"""The decode step on the CPU: the numbers of `DecodeStep`, from two kernels that Numba compiles.

With one new id a row, the step is a walk through all weights. Numba (LLVM) reads them about as
fast as the memory gives them, where a graph pays for each operator and its products are made for
taller matrices. A `Parameter` lends its memory to numpy, so nothing is copied, and the cache is
the one that `Prefill` fills.
"""

from dataclasses import dataclass

import numba
import numpy as np
from mindspore import Parameter

from model.cache import Cache
from model.llama import Llama

# Sums may be reordered, so that they use vector registers; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz"}


@numba.njit(parallel=True, fastmath=FAST, cache=True)
def multiply(x, weight, out):
    """Write x weight^T, for x (B, D) float32 and weight (N, D) float32 or int8, to out (B, N).

    Each row of the weight is read once for four rows of x.
    """
    batch = len(x)
    fours = batch - batch % 4
    for i in numba.prange(len(weight)):
        row = weight[i]
        for b in range(0, fours, 4):
            x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
            s0 = s1 = s2 = s3 = np.float32(0)
            for j in range(row.size):
                w = np.float32(row[j])
                s0 += w * x0[j]
                s1 += w * x1[j]
                s2 += w * x2[j]
                s3 += w * x3[j]
            out[b, i], out[b + 1, i], out[b + 2, i], out[b + 3, i] = s0, s1, s2, s3
        for b in range(fours, batch):
            xb, s = x[b], np.float32(0)
            for j in range(row.size):
                s += np.float32(row[j]) * xb[j]
            out[b, i] = s


@numba.njit(fastmath=FAST, cache=True)
def attend_to(q, keys, values, out):
    """Write softmax(q keys^T / sqrt(C)) values to out; q and out are (C,), the others (n, C)."""
    p = np.empty(len(keys), np.float32)
    for t in range(len(keys)):
        s = np.float32(0)
        for c in range(q.size):
            s += q[c] * keys[t, c]
        p[t] = s
    p = np.exp((p - p.max()) * np.float32(1 / np.sqrt(q.size)))
    p /= p.sum()
    out[:] = 0
    for t in range(len(values)):
        for c in range(q.size):
            out[c] += p[t] * values[t, c]


@numba.njit(parallel=True, cache=True)
def attend(q, keys, values, first_rows, positions, out):
    """Attend from q, (B, H, C), to positions 0..p of its text, p given, into out.

    keys and values are a layer's cache, (B K L, C); first_rows, (B, K), says where each text and
    key head begins in it.
    """
    batch, n_heads, _ = q.shape
    groups = n_heads // first_rows.shape[1]
    for i in numba.prange(batch * n_heads):
        b, h = divmod(np.int64(i), n_heads)  # i is unsigned, and would become a float
        begin = first_rows[b, h // groups]
        end = begin + positions[b] + 1
        attend_to(q[b, h], keys[begin:end], values[begin:end], out[b, h])


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
        self.config, self.first_rows = network.config, cache.first_rows
        self.cos, self.sin = network.cos.asnumpy(), network.sin.asnumpy()
        self.embedding = shared(network.embedding)
        self.embedding_scales = shared(getattr(network, "embedding_scales", None))
        self.layers = [Layer(*fields) for fields in zip(network.layers, cache.keys, cache.values)]
        self.norm_weight = shared(network.norm.weight)
        self.output = Product(shared(network.output), shared(getattr(network.loss, "scales", None)))

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
    return a / (1 + np.exp(-a)) * b
