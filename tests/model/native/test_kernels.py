"""Each kernel against its plain form: values and gradients, whatever the shape."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.native import cells, linear_cells
from model.native.library import cores
from model.native.loss_cells import TokenLosses
from model.native.products import LEAST_ROWS
from model.native.symbols import multiplies_bfloat16
from tests.model.native.cases import check, close, evaluate, normal

pytestmark = pytest.mark.usefixtures("graph_mode")
START = (Tensor([0], mstype.float32),)


class PlainProduct(nn.Cell):
    def construct(self, x, w, b=None):
        y = ops.matmul(x, w.T)
        return y if b is None else y + b


SHAPES = [(37, 24, 40), (3, 50, 129), (130, 70, 1)]
MANY = LEAST_ROWS * cores()
"""Rows that are multiplied by tiles, if the columns are whole vectors."""
MANY_ROWS = [(MANY + 5, 40, 304), (MANY + 6, 1408, 32), (MANY, 48, 56)]


@pytest.mark.parametrize("rows, inner, outer", SHAPES + MANY_ROWS)
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_linear(rows, inner, outer, bias):
    inputs = (normal(rows, inner), normal(outer, inner), normal(outer))[: 2 + bias]
    form = linear_cells.BiasProduct() if bias else linear_cells.Product()
    check(form, PlainProduct(), inputs, [(rows, outer)], 2 + bias)


def test_a_frozen_layer_gives_the_gradient_of_its_input():
    x, w = normal(7, 12), normal(5, 12)
    form = linear_cells.Product()
    form.accumulate(None)
    y, dx = evaluate(form, (x, w), [(7, 5)], 1)
    close(y, x @ w.T)
    close(dx, normal(7, 5, seed=9) @ w)


class SharingInput(nn.Cell):
    def __init__(self, n):
        super().__init__()
        self.shared = linear_cells.SharedInput(n)

    def construct(self, x, *weights):
        return self.shared(x, weights)


@pytest.mark.parametrize(
    "rows, inner, outer",
    [(37, 24, (40, 16, 16)), (37, 24, (129, 130)), (MANY + 5, 48, (96, 32, 16))],
)
def test_layers_that_share_their_input(rows, inner, outer):
    x, weights = normal(rows, inner), [normal(n, inner, seed=n) for n in outer]
    buffers = [np.ones_like(w) for w in weights]
    form = SharingInput(len(outer))
    form.shared.accumulate([buffer.ctypes.data for buffer in buffers])
    *ys, dx = evaluate(form, (x, *weights), [(rows, n) for n in outer], 1)
    douts = [normal(rows, n, seed=9) for n in outer]
    close(dx, sum(dy @ w for dy, w in zip(douts, weights)))
    for y, w, buffer, dy in zip(ys, weights, buffers, douts):
        close(y, x @ w.T)
        close(buffer, 1 + dy.T @ x)


class PlainAddNorm(nn.Cell):
    def construct(self, x, h, w):
        s = x + h
        return s, s * ops.rsqrt(ops.mean(s * s, -1, True) + 1e-5) * w


class PlainNorm(nn.Cell):
    def construct(self, x, w):
        return x * ops.rsqrt(ops.mean(x * x, -1, True) + 1e-5) * w


@pytest.mark.parametrize("rows, dim", [(37, 96), (3, 7), (130, 288)])
def test_norm(rows, dim):
    x, h, w = normal(rows, dim), normal(rows, dim, seed=1), normal(dim)
    check(cells.Norm(1e-5), PlainNorm(), (x, w), [(rows, dim)], 2)
    check(cells.AddNorm(1e-5), PlainAddNorm(), (x, h, w), [(rows, dim)] * 2, 3)


class PlainGate(nn.Cell):
    def construct(self, a, b):
        return a * ops.sigmoid(a) * b


@pytest.mark.parametrize("shape", [(37, 97), (1, 3)])
def test_gate(shape):
    a = 5 * normal(*shape)
    a[0, :3] = -200, 200, 0  # beyond what exp() can hold
    check(cells.Gate(), PlainGate(), (a, normal(*shape, seed=1)), [shape], 2)


class PlainAttention(nn.Cell):
    """With the (T, T) that the kernel never has."""

    def __init__(self, batch, time, heads, kv_heads, size, documents):
        super().__init__()
        self.shapes = [(batch, time, n, size) for n in (heads, kv_heads)]
        self.groups, self.size, self.documents = heads // kv_heads, size, documents
        self.causal = Tensor(np.tril(np.ones((time, time), bool)))

    def heads(self, x, shape, cos, sin):
        a, b = ops.split(x.reshape(shape), self.size // 2, 3)
        cos, sin = cos.expand_dims(1), sin.expand_dims(1)
        return ops.concat((a * cos - b * sin, b * cos + a * sin), 3).transpose(0, 2, 1, 3)

    def construct(self, q, k, v, cos, sin, segments):
        q = self.heads(q, self.shapes[0], cos, sin)
        k = self.heads(k, self.shapes[1], cos, sin)
        v = v.reshape(self.shapes[1]).transpose(0, 2, 1, 3)
        k, v = ops.repeat_interleave(k, self.groups, 1), ops.repeat_interleave(v, self.groups, 1)
        scores = ops.matmul(q, k.transpose(0, 1, 3, 2)) * self.size**-0.5
        seen = self.causal.expand_dims(0)
        if self.documents:
            rows = segments.reshape(self.shapes[0][0], -1)
            seen = ops.logical_and(seen, ops.equal(rows.expand_dims(1), rows.expand_dims(2)))
        scores = ops.select(
            ops.broadcast_to(seen.expand_dims(1), scores.shape), scores, ops.full_like(scores, -1e9)
        )
        out = ops.matmul(ops.softmax(scores, -1), v)
        return out.transpose(0, 2, 1, 3).reshape(-1, q.shape[1] * self.size)


@pytest.mark.parametrize(
    "batch, time, heads, kv_heads, size, documents",
    [
        (2, 65, 4, 2, 16, 0),
        (1, 130, 1, 1, 6, 4),
        (2, 31, 6, 2, 8, 3),
        (1, 120, 2, 1, 48, 3),
        (2, 56, 1, 1, 64, 2),
    ],
)
def test_attention(batch, time, heads, kv_heads, size, documents):
    rng = np.random.default_rng(3)
    angles = np.outer(np.arange(time), 100.0 ** -(np.arange(0, size, 2) / size))
    tables = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    cuts = rng.integers(1, time, (batch, documents)) if documents else np.zeros((batch, 0))
    segments = (np.arange(time) >= cuts[:, :, None]).sum(1).reshape(-1).astype(np.int32)
    rows = batch * time
    inputs = (
        normal(rows, heads * size), normal(rows, kv_heads * size, seed=1),
        normal(rows, kv_heads * size, seed=2), *tables, segments,
    )  # fmt: skip
    plain = PlainAttention(batch, time, heads, kv_heads, size, documents > 0)
    native = cells.Attention(heads, size, documents > 0)
    check(native, plain, inputs, [(rows, heads * size)], 3)


class PlainLosses(nn.Cell):
    def construct(self, h, table, targets):
        return ops.cross_entropy(ops.matmul(h, table.T), targets, reduction="none")


@pytest.mark.parametrize("rows, vocab, dim", [(37, 130, 24), (1, 64, 8), (70, 3000, 16)])
@pytest.mark.parametrize("rows_at_once", [16, 1000])
def test_losses(rows, vocab, dim, rows_at_once, monkeypatch):
    monkeypatch.setattr("model.native.loss_cells.CHUNK_BYTES", 4 * vocab * rows_at_once)
    monkeypatch.setattr("model.native.loss_cells.LEAST_ROWS", 1)
    targets = np.random.default_rng(5).integers(0, vocab, rows).astype(np.int32)
    inputs = normal(rows, dim), normal(vocab, dim), targets
    check(TokenLosses(), PlainLosses(), inputs, [(rows,)], 2)


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "frozen"])
def test_losses_of_logits_that_rise_from_block_to_block(trained):
    h, table = normal(19, 24), normal(400, 24)
    table *= np.linspace(0.1, 20, 400, dtype=np.float32)[:, None]
    targets = np.random.default_rng(5).integers(0, 400, 19).astype(np.int32)
    logits = (h @ table.T).astype(np.float64)
    tops = [logits[:, :n].max(1) for n in (96, 192, 400)]
    assert ((tops[1] > tops[0] + 30) & (tops[2] > tops[1] + 30)).any()
    form = TokenLosses()
    if not trained:
        form.accumulate(None)
    ours = evaluate(form, (h, table, targets), [(19,)], 1 + trained)
    truth = evaluate(PlainLosses(), (h, table, targets), [(19,)], 1 + trained)
    for a, b in zip(ours, truth):
        close(a, b)


class Rows(nn.Cell):
    def construct(self, table, ids):
        return ops.gather(table, ids, 0)


def test_embedding():
    ids = np.random.default_rng(5).integers(0, 9, 30).astype(np.int32)
    check(cells.Embedding(), Rows(), (normal(11, 6), ids), [(30, 6)], 1, START)


needs_bfloat16 = pytest.mark.skipif(
    not multiplies_bfloat16(), reason="this processor has no products in bfloat16"
)


def rounded(x: np.ndarray) -> np.ndarray:
    """To bfloat16 and back, ties to even, by exact arithmetic: 8 bits of the mantissa stay."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(mantissa * 2**8), exponent - 8).astype(np.float32)


@needs_bfloat16
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_linear_in_bfloat16(bias):
    x, w, b, dy = normal(37, 24), normal(40, 24), normal(40), normal(37, 40, seed=9)
    form = linear_cells.BiasProduct(half=True) if bias else linear_cells.Product(half=True)
    y, dx, dw, *db = evaluate(form, (x, w, b)[: 2 + bias], [(37, 40)], 2 + bias)
    close(y, rounded(x) @ rounded(w).T + b * bias)
    close(dx, rounded(dy) @ rounded(w))
    close(dw, rounded(dy).T @ rounded(x))
    if bias:
        close(db[0], dy.sum(0))


@needs_bfloat16
def test_losses_in_bfloat16(monkeypatch):
    rows, vocab, dim = 37, 1130, 24
    monkeypatch.setattr("model.native.loss_cells.HALF_CHUNK_BYTES", 4 * vocab * 16)
    monkeypatch.setattr("model.native.loss_cells.LEAST_ROWS", 1)
    targets = np.random.default_rng(5).integers(0, vocab, rows).astype(np.int32)
    h, table = rounded(normal(rows, dim)), rounded(normal(vocab, dim))
    losses, dh, dtable = evaluate(TokenLosses(half=True), (h, table, targets), [(rows,)], 2)
    truth, dh_32, dtable_32 = evaluate(TokenLosses(), (h, table, targets), [(rows,)], 2)
    close(losses, truth)
    # The gradient of the logits is rounded on its way: half a unit of 2^-8, averaged over many.
    assert np.abs(dh - dh_32).max() < 3e-3 * np.abs(dh_32).max()
    assert np.abs(dtable - dtable_32).max() < 4e-3 * np.abs(dtable_32).max()


@needs_bfloat16
def test_no_number_stays_none_in_bfloat16():
    x = normal(8, 32)
    x[3, 5], x[4, 6] = np.nan, np.inf
    x.view(np.uint32)[6, 7] = 0x7FFFFFFF  # a NaN that rounding would carry over
    out = linear_cells.Product(half=True)(Tensor(x), Tensor(np.ones((4, 32), np.float32))).asnumpy()
    assert np.isnan(out[[3, 6]]).all() and np.isinf(out[4]).all()
    assert np.isfinite(out[[0, 1, 2, 5, 7]]).all()
