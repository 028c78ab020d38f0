"""Vectors do lane by lane what numbers do."""

import numpy as np
import pytest

from model.native.calls import FLOAT
from model.native.rows import exp, fast
from model.native.vectors import (
    LANES,
    lanes_largest,
    lanes_sum,
    larger,
    load,
    smaller,
    spread,
    store,
    within,
)

HALF, TWO = np.float32(0.5), np.float32(2)


@fast
def exponentials(out, x):
    for j in range(0, x.size, LANES):
        store(out.ctypes.data + FLOAT * j, exp(load(x.ctypes.data + FLOAT * j)))


@fast
def exponentials_of_numbers(out, x):
    for j in range(x.size):
        out[j] = exp(x[j])


@fast
def combine(out, a, b):
    x, y = load(a.ctypes.data), load(b.ctypes.data)
    store(out.ctypes.data, (x + y) * HALF - TWO * (x - y) * (HALF + x))


@fast
def bound(out, a, b):
    x, y = load(a.ctypes.data), load(b.ctypes.data)
    store(out.ctypes.data, larger(x, smaller(y, HALF)))


@fast
def keep(out, a, low, high):
    store(out.ctypes.data, within(load(a.ctypes.data), low, high, TWO))


@fast
def reduce(a):
    x = load(a.ctypes.data)
    return lanes_sum(x), lanes_largest(x), lanes_sum(spread(HALF))


def numbers(size=LANES, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def test_exponentials_are_those_of_numbers():
    x = np.linspace(-100, 100, 64 * LANES, dtype=np.float32)
    x[[3, 70]] = np.nan, np.inf
    ours, truth = np.empty_like(x), np.empty_like(x)
    exponentials(ours, x)
    exponentials_of_numbers(truth, x)
    assert np.isnan(ours[3]) and np.isnan(ours).sum() == 1
    np.testing.assert_allclose(ours, truth, rtol=3e-7)
    inside = (abs(x) < 87) & ~np.isnan(x)
    np.testing.assert_allclose(ours[inside], np.exp(x[inside].astype(np.float64)), rtol=5e-6)


def test_arithmetic_with_vectors_and_numbers():
    a, b, out = numbers(), numbers(seed=1), np.empty(LANES, np.float32)
    combine(out, a, b)
    np.testing.assert_allclose(out, (a + b) / 2 - 2 * (a - b) * (0.5 + a), rtol=1e-5, atol=1e-6)
    bound(out, a, b)
    assert np.array_equal(out, np.maximum(a, np.minimum(b, HALF)))


@pytest.mark.parametrize("low, high", [(0, 16), (-5, 3), (4, 99), (7, 7), (20, 30)])
def test_lanes_within_bounds_are_kept(low, high):
    a, out, lanes = numbers(), np.empty(LANES, np.float32), np.arange(LANES)
    keep(out, a, low, high)
    assert np.array_equal(out, np.where((lanes >= low) & (lanes < high), a, TWO))


def test_sum_and_largest():
    for largest in range(LANES):
        a = numbers(seed=largest)
        a[largest] = 9
        total, top, halves = reduce(a)
        assert total == pytest.approx(a.sum(dtype=np.float64), abs=1e-5)
        assert top == 9 and halves == LANES / 2
