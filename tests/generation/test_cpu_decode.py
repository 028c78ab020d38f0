"""The kernels of the CPU's decode step against numpy, and the step against its portable form."""

import numpy as np
import pytest

from generation.cache import Cache
from generation.cpu_decode import CpuDecodeStep, gate
from generation.cpu_kernels import attend, multiply
from generation.decoding import Decoder, GraphStep
from model.int8 import Int8Llama
from model.llama import Llama
from tests.model.cases import lively, tiny_config

pytestmark = pytest.mark.usefixtures("graph_mode")

VARIANTS = {
    "plain": {},
    "grouped-query, bias": {"n_kv_heads": 2, "attention_bias": True},
    "one key head, untied": {"n_kv_heads": 1, "tie_embeddings": False},
}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize("batch", [1, 2, 4, 7, 8])
def test_multiply(batch):
    x, weight = normal(batch, 37), normal(11, 37, seed=1)
    for matrix in (weight, (weight * 50).astype(np.int8)):
        out = np.empty((batch, 11), np.float32)
        multiply(x, matrix, out)
        expected = x.astype(np.float64) @ matrix.T
        np.testing.assert_allclose(out, expected, atol=1e-6 * np.abs(expected).max())


def test_a_product_of_weights_that_diverged_is_not_a_number():
    weight = normal(3, 8)
    weight[1, 5] = np.nan
    for batch in (1, 4):
        out = np.empty((batch, 3), np.float32)
        multiply(normal(batch, 8), weight, out)
        assert np.isnan(out).tolist() == [[False, True, False]] * batch


def test_attend():
    """Three texts, four query heads on two key heads, six places; what lies behind is not read."""
    q, positions = normal(3, 4, 8), np.array([0, 3, 5], np.int32)
    keys, values = normal(3, 2, 6, 8, seed=1), normal(3, 2, 6, 8, seed=2)
    for b, position in enumerate(positions):
        keys[b, :, position + 1 :] = np.nan
    out, first_rows = np.empty_like(q), np.arange(6).reshape(3, 2) * 6
    attend(q, keys.reshape(-1, 8), values.reshape(-1, 8), first_rows, positions, out)
    for b, position in enumerate(positions):
        for h in range(4):
            key, value = (cache[b, h // 2, : position + 1] for cache in (keys, values))
            p = np.exp(key @ q[b, h] / np.sqrt(8))
            np.testing.assert_allclose(out[b, h], p @ value / p.sum(), atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_closed_gate():
    a = np.array([[-200, 0, 3, 200]], np.float32)
    expected = [[0, 0, 3 / (1 + np.exp(-3)) * 2, 400]]
    np.testing.assert_allclose(gate(a, np.full((1, 4), 2, np.float32)), expected, rtol=1e-6)


def quantised(network: Llama) -> Int8Llama:
    values = {name: p.asnumpy() for name, p in network.parameters_and_names()}
    int8 = Int8Llama(network.config)
    int8.fill(values.__getitem__)
    return int8


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_equals_the_portable_step(changes, weights):
    network = lively(Llama(tiny_config(**changes)))
    if weights == "int8":
        network = quantised(network)
    caches = [Cache(network.config, 4, 12) for _ in range(2)]
    steps = [GraphStep(network, caches[0]), CpuDecodeStep(network, caches[1])]
    for i in range(6):
        tokens = np.arange(4, dtype=np.int32) * 7 + i
        positions = np.minimum(np.full(4, i, np.int32), [5, 5, 2, 0]).astype(np.int32)
        portable, ours = (step(tokens, positions) for step in steps)
        assert ours.shape == portable.shape and ours.dtype == portable.dtype == np.float32
        assert np.abs(portable).max() > 1
        np.testing.assert_allclose(ours, portable, atol=2e-5)


def test_who_gets_which():
    network = lively(Llama(tiny_config()))
    decoder = Decoder(network)
    decoder.begin([[3, 4]], 2, 4)
    decoder.feed([5])
    assert isinstance(decoder.step, CpuDecodeStep)
