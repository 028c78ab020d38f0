"""Dropout: masks that follow from counters, and nothing else changes."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.dropout import Dropout, row_keys
from model.llama import Llama
from tests.model.cases import (
    Gradients,
    batch,
    lively,
    numpy_keep,
    numpy_keys,
    tensors,
    tiny_config,
)
from training.objectives.cross_entropy import NextToken

pytestmark = pytest.mark.usefixtures("graph_mode")

RATE, TIME, DIM, ROWS = 0.1, 64, 48, 4
SALTS = (0, 1, 2, 7)


class Masked(nn.Cell):
    """Keys of rows, and ones through the dropout of several places."""

    def __init__(self):
        super().__init__()
        self.dropout = Dropout(RATE, TIME, DIM)

    def construct(self, x, step, places):
        keys = row_keys(1337, step, places)
        return keys, ops.stack([self.dropout(x, keys, salt) for salt in SALTS])


@pytest.fixture(scope="module")
def masks():
    """By step and first row: the keys, and the values of ones at each place, (4, rows, T, D)."""
    cell, ones = Masked(), Tensor(np.ones((ROWS * TIME, DIM), np.float32))

    def draw(step: int, first: int = 0):
        places = Tensor(np.arange(first, first + ROWS), mstype.int32)
        keys, values = cell(ones, Tensor(step, mstype.int32), places)
        return keys.asnumpy(), values.asnumpy().reshape(len(SALTS), ROWS, TIME, DIM)

    return draw


def test_the_mask_is_the_formula(masks):
    keys, values = masks(step=12, first=100)
    assert np.array_equal(keys.view(np.uint32), numpy_keys(1337, 12, np.arange(100, 104)))
    for salt, value in zip(SALTS, values):
        keep = numpy_keep(RATE, keys.view(np.uint32), salt, TIME, DIM)
        assert np.array_equal(value.reshape(-1, DIM) > 0, keep)


def test_the_keep_rate_and_the_scale(masks):
    for step in (0, 1, 10**6):
        for value in masks(step)[1].reshape(-1, TIME * DIM):
            assert set(np.unique(value)) == {0, np.float32(1 / (1 - RATE))}
            # Five standard deviations of a binomial share over a row.
            assert abs((value > 0).mean() - (1 - RATE)) < 5 * np.sqrt(RATE * (1 - RATE) / 3072)


def test_masks_of_steps_rows_places_and_neighbours_are_independent(masks):
    """Correlation of any two is within five standard deviations of that of unrelated masks."""
    drawn = [masks(step, first)[1] for step, first in ((0, 0), (1, 0), (0, 4), (2, 0))]
    rows = np.concatenate(drawn).reshape(-1, TIME * DIM) > 0
    correlation = np.corrcoef(rows)
    assert len(correlation) == 64
    off_diagonal = correlation[~np.eye(len(rows), dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(TIME * DIM)
    for shift in (1, 2, DIM):
        pairs = np.corrcoef(rows[:, shift:].ravel(), rows[:, :-shift].ravel())
        assert abs(pairs[0, 1]) < 5 / np.sqrt(rows.size)


def test_the_same_counters_give_the_same_mask(masks):
    first = masks(3, 8)
    masks(4, 8)
    assert np.array_equal(first[1], masks(3, 8)[1])
    assert np.array_equal(first[1][:, 2:], masks(3, 10)[1][:, :2]), "whatever rows come with it"


class Differentiated(nn.Cell):
    def __init__(self):
        super().__init__()
        self.dropout = Dropout(0.5, TIME, DIM)
        self.value_and_grad = ops.value_and_grad(self.forward, 0)

    def forward(self, x, keys):
        return self.dropout(x, keys, 3)

    def construct(self, x, keys):
        return self.value_and_grad(x, keys)


def test_the_gradient_goes_through_the_same_mask():
    x = np.random.default_rng(0).standard_normal((ROWS * TIME, DIM)).astype(np.float32)
    keys = np.arange(ROWS).astype(np.int32)
    value, gradient = (y.asnumpy() for y in Differentiated()(Tensor(x), Tensor(keys)))
    keep = numpy_keep(0.5, keys, 3, TIME, DIM)
    assert np.array_equal(value, np.where(keep, 2 * x, 0))
    assert np.array_equal(gradient, np.where(keep, np.float32(2), np.float32(0)))


@pytest.fixture(scope="module")
def inputs():
    return [*tensors(batch()), Tensor(np.array([5, -6], np.int32))]


class Loss(Gradients):
    """Loss and gradients with dropout."""

    def __init__(self, network):
        super().__init__(network)
        weights = network.trainable_params()
        self.grad = ops.value_and_grad(NextToken(network), None, weights, has_aux=True)

    def construct(self, tokens, targets, loss_weight, segment_ids, keys):
        return self.grad(tokens, targets, loss_weight, segment_ids, keys)


def losses(network, inputs, recompute=False):
    if recompute:
        for block in network.layers:
            block.recompute()
    (loss, _, _), gradients = Loss(network)(*inputs)
    return [loss.asnumpy(), *(gradient.asnumpy() for gradient in gradients)]


def test_recomputed_blocks_drop_the_same(inputs):
    config = tiny_config(dropout=0.2)
    plain = losses(lively(Llama(config)), inputs)
    again = losses(lively(Llama(config)), inputs, recompute=True)
    for ours, reference in zip(again, plain):
        assert np.allclose(ours, reference, rtol=1e-5, atol=1e-5)
    without = NextToken(lively(Llama(tiny_config())))(*inputs[:4])[0].asnumpy()
    assert abs(plain[0] - without) > 1e-2, "something is dropped"


def test_nothing_is_dropped_without_keys(inputs):
    """As in evaluation and generation."""
    dropping, plain = (lively(Llama(tiny_config(dropout=rate))) for rate in (0.5, 0.0))
    assert [p.name for p in dropping.get_parameters()] == [p.name for p in plain.get_parameters()]
    found = [NextToken(network)(*inputs[:4])[0].asnumpy() for network in (dropping, plain)]
    assert found[0] == found[1]


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_an_impossible_rate(rate):
    with pytest.raises(ValueError, match=r"model.dropout is .*; it must"):
        tiny_config(dropout=rate)
