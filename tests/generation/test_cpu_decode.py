"""The kernels of the CPU's decode step against numpy, and the step against its portable form."""

import numpy as np
import pytest
from numba import njit

from generation.cache import Cache
from generation.cpu_decode import NO_BIAS, CpuDecodeStep
from generation.cpu_kernels import attend, gate
from generation.cpu_products import multiply, prepared, quantised
from generation.decoding import Decoder, GraphStep
from generation.generation import Generation
from generation.sampling import Sampling
from model.int8 import Int8Llama, dequantised_rows, quantise_matrix
from model.linear import Linear
from model.llama import Llama
from model.native.processor import use_wide_vectors
from tests.model.cases import lively, tiny_config

pytestmark = pytest.mark.usefixtures("graph_mode", "wide_vectors")

VARIANTS = {
    "plain": {},
    "grouped-query, bias": {"n_kv_heads": 2, "attention_bias": True},
    "one key head, untied": {"n_kv_heads": 1, "tie_embeddings": False},
}


@pytest.fixture(scope="module")
def wide_vectors():
    use_wide_vectors()


@njit
def prepare(x, weight):
    return prepared(x, weight)


def shorts(x, weight):
    """The form of x for a processor without VNNI."""
    return quantised(x, np.int16)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def shares(kernel, *arguments, parts=3):
    """Let each part be computed, one after the other."""
    for part in range(parts):
        kernel(*arguments, part, parts)


def rounded(x):
    """x as whole numbers and scales of blocks of 32, by numpy."""
    blocks = x.reshape(len(x), -1, 32)
    scales = np.abs(blocks).max(-1) / np.float32(127)
    return np.rint(blocks / scales[..., None]).reshape(x.shape), scales


@pytest.mark.parametrize("batch", [1, 2, 4, 7])
@pytest.mark.parametrize("dim", [5, 37, 96])
def test_multiply(batch, dim):
    x, weight, bias = normal(batch, dim), normal(23, dim, seed=1), normal(23, seed=2)
    out = np.empty((batch, 23), np.float32)
    shares(multiply, x, weight, bias, out)
    np.testing.assert_allclose(out, x.astype(np.float64) @ weight.T + bias, atol=1e-5)


@pytest.mark.parametrize("form", [prepare, shorts])
@pytest.mark.parametrize("batch", [1, 7])
def test_multiply_int8(batch, form):
    x, weight = normal(batch, 96), normal(23, 96, seed=1)
    whole, scales = quantise_matrix(weight)
    pair = whole, scales.view(np.uint16)
    values, x_scales = form(x, pair)
    expected, expected_scales = rounded(x)
    offset = 128 if values.dtype == np.uint8 else 0
    np.testing.assert_array_equal(values.astype(np.int32) - offset, expected)
    np.testing.assert_allclose(x_scales, expected_scales, rtol=1e-6)
    out = np.full((batch + 1, 23), 5, np.float32)
    shares(multiply, (values, x_scales), pair, NO_BIAS, out[:batch])
    x = expected * np.repeat(expected_scales, 32, -1)
    np.testing.assert_allclose(out[:batch], x @ dequantised_rows(whole, scales).T, atol=1e-5)
    np.testing.assert_allclose(out[:batch], x @ weight.T, atol=0.2)
    assert (out[batch] == 5).all(), "a last strip wrote behind its rows"


@pytest.mark.parametrize("form", [prepare, shorts])
def test_int8_of_the_largest_numbers(form):
    """No sum of whole numbers overflows."""
    x, whole = np.ones((2, 64), np.float32), np.full((20, 64), 127, np.int8)
    whole[1], whole[2, ::2] = -127, -127
    x[1, 1::2] = -1
    pair = whole, np.ones((20, 2), np.float16).view(np.uint16)
    out = np.empty((2, 20), np.float32)
    shares(multiply, form(x, pair), pair, NO_BIAS, out)
    np.testing.assert_allclose(out, x @ whole.T.astype(np.float32), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_product_does_not_depend_on_its_neighbours(weights):
    """To the bit, in every tile: a text is the same alone and in company."""
    x, weight = normal(9, 96), normal(22, 96, seed=1)
    if weights == "int8":
        whole, scales = quantise_matrix(weight)
        weight = whole, scales.view(np.uint16)
    together = np.empty((9, 22), np.float32)
    shares(multiply, prepare(x, weight), weight, NO_BIAS, together, parts=1)
    for rows in ([0], [3, 4], [8, 0, 5, 1, 2]):
        out = np.empty((len(rows), 22), np.float32)
        shares(multiply, prepare(x[rows], weight), weight, NO_BIAS, out, parts=2)
        np.testing.assert_array_equal(out, together[rows])


def test_a_product_of_what_diverged_is_not_a_number():
    weight, x = normal(3, 32), normal(2, 32)
    weight[1, 5] = x[1, 7] = np.nan
    whole, scales = quantise_matrix(normal(3, 32))
    for batch in (1, 2):
        out = np.empty((batch, 3), np.float32)
        shares(multiply, x[:batch], weight, NO_BIAS, out)
        assert np.isnan(out).tolist() == [[False, True, False], [True] * 3][:batch]
    pair = whole, scales.view(np.uint16)
    shares(multiply, prepare(x, pair), pair, NO_BIAS, out)
    assert np.isnan(out).tolist() == [[False] * 3, [True] * 3]


def test_attend():
    """Three texts, four query heads on two key heads, six places; what lies behind is not read."""
    q, positions = normal(3, 4, 8), np.array([0, 3, 5], np.int32)
    keys, values = normal(3, 2, 6, 8, seed=1), normal(3, 2, 6, 8, seed=2)
    for b, position in enumerate(positions):
        keys[b, :, position + 1 :] = np.nan
    out, first_rows = np.empty_like(q), np.arange(6).reshape(3, 2) * 6
    rows = (x.reshape(-1, 8) for x in (q, keys, values))
    shares(attend, *rows, first_rows, positions, out.reshape(-1, 8))
    for b, position in enumerate(positions):
        for h in range(4):
            key, value = (cache[b, h // 2, : position + 1] for cache in (keys, values))
            p = np.exp(key @ q[b, h] / np.sqrt(8))
            np.testing.assert_allclose(out[b, h], p @ value / p.sum(), atol=1e-5)


def test_a_gate_open_and_closed():
    a = np.array([[-200, -1, 0, 3, 200, np.nan]], np.float32)
    expected = [-200 * np.exp(-200), -1 / (1 + np.e), 0, 3 / (1 + np.exp(-3)), 200, np.nan]
    gate(a, np.full((1, 6), 2, np.float32), 0, 6)
    np.testing.assert_allclose(a[0] / 2, expected, rtol=1e-6, atol=1e-30)


def int8_of(network: Llama) -> Int8Llama:
    values = {name: p.asnumpy() for name, p in network.parameters_and_names()}
    small = Int8Llama(network.config)
    small.fill(values.__getitem__)
    return small


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_equals_the_portable_step(changes, weights):
    network = lively(Llama(tiny_config(hidden_dim=64, **changes)))
    atol = 2e-5
    if weights == "int8":
        # An activation between two steps may be rounded to either.
        network, atol = int8_of(network), 0.02
    caches = [Cache(network.config, 4, 12) for _ in range(2)]
    steps = [GraphStep(network, caches[0]), CpuDecodeStep(network, caches[1])]
    texts = [[3, 41, 7], [9], [11, 5, 30, 22, 6]]
    portable, ours = (step.read(texts)[:3] for step in steps)
    np.testing.assert_allclose(ours, portable, atol=atol)
    for i in range(6):
        tokens = np.arange(4, dtype=np.int32) * 7 + i
        positions = np.minimum(np.array([3, 1, 5, 0]) + i, [7, 5, 6, 0]).astype(np.int32)
        portable, ours = (step(tokens, positions) for step in steps)
        assert ours.shape == portable.shape and ours.dtype == portable.dtype == np.float32
        assert np.abs(portable).max() > 1
        np.testing.assert_allclose(ours, portable, atol=atol)


def test_who_gets_which():
    network = lively(Llama(tiny_config()))
    decoder = Decoder(network)
    decoder.begin([[3, 4]], 2, 4)
    decoder.feed([5])
    assert isinstance(decoder.step, CpuDecodeStep)


def test_greedy_ids_of_int8_are_the_same_alone_and_in_company():
    network = int8_of(lively(Llama(tiny_config(hidden_dim=64)), seed=4))
    decoder, texts = Decoder(network), [[7, 5, 31, 8], [9], [], [4, 4, 40], [3, 11]]
    alone = []
    for text in texts:
        alone += continued(decoder, [text])
    assert continued(decoder, texts) == alone
    assert sum(map(len, alone)) > 20


def continued(decoder, texts):
    ids = [[] for _ in texts]
    greedy = Sampling(temperature=0, max_new_tokens=8)
    for new in Generation(decoder, texts, greedy, 2, (2,), 50):
        ids[new.row].append(new.token)
    return ids


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_logits_of_a_row_do_not_depend_on_the_others(weights):
    """To the bit, whatever the batch size; the other rows have prompts of other lengths."""
    network = lively(Llama(tiny_config(hidden_dim=64, n_kv_heads=2)))
    network = int8_of(network) if weights == "int8" else network
    found = []
    for batch in (1, 2, 8):
        step = CpuDecodeStep(network, Cache(network.config, batch, 12))
        texts = [[5] * (1 + i % 4) for i in range(batch - 1)] + [[7, 5, 31]]
        positions = np.array([len(text) for text in texts], np.int32)
        row = [step.read(texts)[-1].copy()]
        for _ in range(4):
            row.append(step(np.arange(batch, dtype=np.int32)[::-1], positions)[-1].copy())
            positions[-1] += 1
        found.append(np.stack(row))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_an_unknown_product_is_refused():
    class Adapter(Linear):
        pass

    class Adapted(Llama):
        dense = Adapter

    network = Adapted(tiny_config())
    with pytest.raises(TypeError, match="knows Linear, Int8Linear and LoraLinear, not Adapter"):
        CpuDecodeStep(network, Cache(network.config, 1, 12))
