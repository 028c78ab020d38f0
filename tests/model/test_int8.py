"""Int8 weights: the network is the one of the rounded weights, in a quarter of the memory."""

import numpy as np
import pytest

from model.int8 import Int8Llama, quantise
from model.llama import Llama
from tests.model.cases import LossAndLogits, batch, lively, tensors, tiny_config, values

pytestmark = pytest.mark.usefixtures("graph_mode")

VARIANTS = {
    "tied": {},
    "untied, bias": {"n_kv_heads": 2, "attention_bias": True, "tie_embeddings": False},
}


def int8_of(network: Llama) -> Int8Llama:
    small = Int8Llama(network.config)
    small.fill(values(network).__getitem__)
    return small


def rounded(network: Llama) -> Llama:
    """A float32 network of what int8 leaves of the weights."""
    other = Llama(network.config)
    for name, value in values(network).items():
        if value.ndim > 1:
            whole, scales = quantise(value)
            value = whole * scales
        other.parameters_dict()[name].set_data(tensors([value])[0])
    return other


def test_quantise_by_hand():
    whole, scales = quantise(np.array([[2.54, -1.27, 0.006], [0, 0, 0]], np.float32))
    assert whole.tolist() == [[127, -64, 0], [0, 0, 0]] and whole.dtype == np.int8
    np.testing.assert_allclose(scales, [[0.02], [0]], rtol=1e-6)


def test_no_value_is_off_by_more_than_half_a_scale():
    x = np.random.default_rng(0).standard_normal((50, 64), dtype=np.float32)
    whole, scales = quantise(x)
    assert (np.abs(whole * scales - x) <= 0.5001 * scales).all()
    assert (np.abs(whole).max(-1) == 127).all()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_is_the_network_of_the_rounded_weights(changes):
    network, inputs = lively(Llama(tiny_config(**changes))), tensors(batch())
    small = int8_of(network)
    loss, logits = LossAndLogits(small)(*inputs)
    expected_loss, expected = LossAndLogits(rounded(network))(*inputs)
    np.testing.assert_allclose(logits.asnumpy(), expected.asnumpy(), atol=1e-4)
    np.testing.assert_allclose(float(loss), float(expected_loss), rtol=1e-5)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_reads_what_a_network_saves(changes):
    network = Llama(tiny_config(**changes))
    shapes = {name: p.shape for name, p in network.parameters_and_names()}
    assert Int8Llama(network.config).weight_shapes() == shapes


def test_a_quarter_of_the_memory():
    network = Llama(tiny_config(dim=128, hidden_dim=256, vocab_size=640))
    whole, small = (
        sum(p.nbytes for p in n.get_parameters()) for n in (network, Int8Llama(network.config))
    )
    assert 0.25 < small / whole < 0.28
