"""Kernels of the CPU for one new id of each of a few texts, compiled by Numba at their first use.

Weights are as in `generation.cpu_products`. All threads walk through a kernel side by side, each
with its part of the work; what all of them need is so little that each computes it for itself.
"""

import numpy as np
from numba import njit, prange

from generation.cpu_products import (
    aligned,
    matrix_of,
    multiply,
    prepared,
    share,
    weight_at,
)
from generation.cpu_tiles import ROWS, dot, tile_of_one, weighted_sum
from model.native.calls import ONE, floats
from model.native.rows import exp, exp_in_place, fast, largest


@fast
def normed(x, weight, eps):
    """RMSNorm of x, (B, D)."""
    out = aligned(*x.shape, np.float32)
    for b in range(len(x)):
        row, to, total = x[b], out[b], np.float32(0)
        for j in range(row.size):
            total += row[j] * row[j]
        scale = ONE / np.sqrt(total / np.float32(row.size) + eps)
        for j in range(row.size):
            to[j] = row[j] * scale * weight[j]
    return out


@fast
def rotate(x, cos, sin):
    """Rotate the pairs (x_i, x_{i + C/2}) of heads, (n, C), by a position's angles, (C/2,)."""
    half = cos.size
    for row in x:
        for i in range(half):
            a, b = row[i], row[half + i]
            row[i], row[half + i] = a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]


@fast
def softmax(p, scale):
    """Write exp(scale p) / sum(exp(scale p)) to p, (n,)."""
    for t in range(p.size):
        p[t] *= scale
    share_of = ONE / exp_in_place(p, largest(p))
    for t in range(p.size):
        p[t] *= share_of


@njit(cache=True)
def attend(q, keys, values, first_rows, positions, out, part, parts):
    """Attend from a part's heads of q, (B H, C), to positions 0..p of its text, into out.

    keys and values are a layer's cache, (B K L, C); first_rows, (B, K), says where each text and
    key head begins in it, and positions, (B,), where each text stands. It is
    softmax(q keys^T / sqrt(C)) values.
    """
    n_heads, scale = len(q) // len(positions), np.float32(1 / np.sqrt(q.shape[1]))
    groups = n_heads // first_rows.shape[1]
    for i in range(part, len(q), parts):
        b, h = i // n_heads, i % n_heads
        begin, n = first_rows[b, h // groups], positions[b] + 1
        row, own_keys, p = q[i : i + 1], keys[begin : begin + n], np.empty((1, n), np.float32)
        for t in range(0, n - ROWS + 1, ROWS):
            tile_of_one(p, row, own_keys, 0, t)
        for t in range(n - n % ROWS, n):
            dot(p, row, own_keys, 0, t)
        softmax(p[0], scale)
        weighted_sum(out[i : i + 1], p, values[begin : begin + n])


@fast
def gate(a, b, begin, end):
    """Write silu(a) b to columns of a, both (B, F)."""
    for i in range(len(a)):
        x, y = a[i, begin:end], b[i, begin:end]
        for j in range(x.size):
            x[j] = x[j] * y[j] / (ONE + exp(-x[j]))


@njit
def add(x, change, begin, end):
    """Add columns of change to those of x, both (B, N)."""
    for b in range(len(x)):
        for i in range(begin, end):
            x[b, i] += change[b, i]


@njit
def store(k, v, keys, values, rows):
    """Write the new keys and values of a text, (K, C), to rows of a layer's cache."""
    for i in range(rows.size):
        keys[rows[i]], values[rows[i]] = k[i], v[i]


@njit(parallel=True, cache=True)
def attention_block(x, norm_weight, weights, biases, cache, place, eps, parts):
    """Add a block's attention to the residual stream x, (B, D), and its keys to the cache.

    Args:
        weights, biases: of queries, keys, values and output; a bias of no length is none.
        cache: keys and values of the layer, both (B K L, C).
        place: the first rows of texts and key heads in the cache, (B, K), positions, (B,), and
            cosines and sines, (T, C/2).
        parts: how many threads share each product.
    """
    (wq, wk, wv, wo), (bq, bk, bv, bo) = weights, biases
    (keys, values), (first_rows, positions, cos, sin) = cache, place
    batch, head_dim = len(x), keys.shape[1]
    kv_dim = head_dim * first_rows.shape[1]
    q, out = np.empty_like(x), aligned(batch, x.shape[1], np.float32)
    k, v = np.empty((batch, kv_dim), np.float32), np.empty((batch, kv_dim), np.float32)
    for part in prange(parts):
        h = prepared(normed(x, norm_weight, eps), wq)
        multiply(h, wq, bq, q, part, parts)
        multiply(h, wk, bk, k, part, parts)
        multiply(h, wv, bv, v, part, parts)
    q_heads, mixed = q.reshape(batch, -1, head_dim), out.reshape(-1, head_dim)
    k_heads, v_heads = k.reshape(batch, -1, head_dim), v.reshape(batch, -1, head_dim)
    for b in range(batch):
        at = positions[b]
        rotate(q_heads[b], cos[at], sin[at])
        rotate(k_heads[b], cos[at], sin[at])
        store(k_heads[b], v_heads[b], keys, values, first_rows[b] + at)
    for part in prange(parts):
        attend(
            q_heads.reshape(-1, head_dim), keys, values, first_rows, positions, mixed, part, parts
        )
    for part in prange(parts):
        multiply(prepared(out, wo), wo, bo, q, part, parts)
        add(x, q, *share(wo, part, parts))


@njit(parallel=True, cache=True)
def feed_forward_block(x, norm_weight, weights, eps, parts):
    """Add a block's feed-forward, w2 (silu(w1 h) * w3 h), to the residual stream x, (B, D)."""
    w1, w2, w3 = weights
    none, out, width = np.empty(0, np.float32), np.empty_like(x), len(matrix_of(w1))
    a, b = aligned(len(x), width, np.float32), aligned(len(x), width, np.float32)
    for part in prange(parts):
        h = prepared(normed(x, norm_weight, eps), w1)
        multiply(h, w1, none, a, part, parts)
        multiply(h, w3, none, b, part, parts)
        gate(a, b, *share(w1, part, parts))
    for part in prange(parts):
        multiply(prepared(a, w2), w2, none, out, part, parts)
        add(x, out, *share(w2, part, parts))


@njit(cache=True)
def blocks(x, layers, kind, hidden_dim, cache_rows, place, eps, parts):
    """Let all blocks change the residual stream x, (B, D), without a return to Python between.

    Args:
        layers: addresses of what each has, (N, 22) int64, in the order of `Layer.arrays`; 0 stands
            for no bias.
        kind: a weight, of the type of theirs.
        cache_rows: B K L of a layer's cache.
        place, parts: see `attention_block`.
    """
    dim, head_dim = x.shape[1], 2 * place[2].shape[1]
    kv_dim = head_dim * place[0].shape[1]
    for at in layers:
        weights = (
            weight_at(at[0], at[1], dim, dim, kind),
            weight_at(at[2], at[3], kv_dim, dim, kind),
            weight_at(at[4], at[5], kv_dim, dim, kind),
            weight_at(at[6], at[7], dim, dim, kind),
        )
        biases = (
            floats(at[14], dim if at[14] else 0),
            floats(at[15], kv_dim if at[15] else 0),
            floats(at[16], kv_dim if at[16] else 0),
            floats(at[17], dim if at[17] else 0),
        )
        keys = floats(at[20], cache_rows * head_dim).reshape(cache_rows, head_dim)
        values = floats(at[21], cache_rows * head_dim).reshape(cache_rows, head_dim)
        attention_block(x, floats(at[18], dim), weights, biases, (keys, values), place, eps, parts)
        weights = (
            weight_at(at[8], at[9], hidden_dim, dim, kind),
            weight_at(at[10], at[11], dim, hidden_dim, kind),
            weight_at(at[12], at[13], hidden_dim, dim, kind),
        )
        feed_forward_block(x, floats(at[19], dim), weights, eps, parts)


@njit(parallel=True, cache=True)
def output_layer(x, norm_weight, weight, out, eps, parts):
    """Write logits, (B, V), of the residual stream after the last block, (B, D), to out."""
    none = np.empty(0, np.float32)
    for part in prange(parts):
        multiply(prepared(normed(x, norm_weight, eps), weight), weight, none, out, part, parts)
