"""Int8 weights: the network is the one of the rounded weights, in a quarter of the memory."""

import numpy as np
import pytest
from mindspore import dtype as mstype

from common.errors import UserError
from model.head import Head
from model.int8 import Blocks, Int8Llama, dequantised_rows, quantise, quantise_matrix
from model.linear import Linear
from model.llama import Llama
from tests.model.cases import LossAndLogits, batch, lively, tensors, tiny_config, values

pytestmark = pytest.mark.usefixtures("graph_mode")

VARIANTS = {
    "tied": {"hidden_dim": 64},
    "untied, bias": {
        "hidden_dim": 64,
        "n_kv_heads": 2,
        "attention_bias": True,
        "tie_embeddings": False,
    },
}


def int8_of(network: Llama) -> Int8Llama:
    small = Int8Llama(network.config)
    small.fill(values(network).__getitem__)
    return small


class RoundedLinear(Linear):
    """A float32 layer that rounds what it multiplies."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.blocks = Blocks(self.compute_dtype)

    def construct(self, x, row_keys=None):
        return super().construct(self.blocks.rounded(x))


class RoundedHead(Head):
    def __init__(self, compute_dtype):
        super().__init__(compute_dtype)
        self.blocks = Blocks(compute_dtype)

    def construct(self, h, table):
        return super().construct(self.blocks.rounded(h), table)


class RoundedLlama(Llama):
    """A float32 network of what int8 leaves of weights and activations."""

    dense = RoundedLinear

    def __init__(self, network: Llama):
        super().__init__(network.config)
        self.head = RoundedHead(self.compute_dtype)
        for name, value in values(network).items():
            if value.ndim > 1:
                value = dequantised_rows(*quantise_matrix(value))
            self.parameters_dict()[name].set_data(tensors([value])[0])


def test_quantise_by_hand():
    whole, scales = quantise(np.array([[2.54, -1.27, 0.006], [0, 0, 0]], np.float32))
    assert whole.tolist() == [[127, -64, 0], [0, 0, 0]] and whole.dtype == np.int8
    np.testing.assert_allclose(scales, [[0.02], [0]], rtol=1e-6)


def test_no_value_is_off_by_more_than_half_a_scale():
    x = np.random.default_rng(0).standard_normal((50, 64), dtype=np.float32)
    whole, scales = quantise(x)
    assert (np.abs(whole * scales - x) <= 0.5001 * scales).all()
    assert (np.abs(whole).max(-1) == 127).all()


def test_blocks_of_a_matrix():
    x = np.random.default_rng(0).standard_normal((3, 64), dtype=np.float32)
    x[1, 32:] = 0
    whole, scales = quantise_matrix(x)
    assert whole.shape == (3, 64) and scales.shape == (3, 2) and scales.dtype == np.float16
    steps = np.repeat(scales.astype(np.float32), 32, -1)
    assert (np.abs(dequantised_rows(whole, scales) - x) <= 0.6 * steps).all()
    matrix = Blocks(mstype.float32).matrix(*tensors([whole, scales])).asnumpy()
    np.testing.assert_array_equal(matrix, dequantised_rows(whole, scales))


def test_activations_are_rounded_by_blocks():
    x = np.random.default_rng(0).standard_normal((3, 64), dtype=np.float32)
    x[1, 32:] = 0
    whole, scales = quantise(x.reshape(-1, 32))
    rounded = Blocks(mstype.float32).rounded(tensors([x])[0]).asnumpy()
    np.testing.assert_allclose(rounded, (whole * scales).reshape(x.shape), rtol=1e-6)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_is_the_network_of_the_rounded_weights(changes):
    network, inputs = lively(Llama(tiny_config(**changes))), tensors(batch())
    loss, logits = LossAndLogits(int8_of(network))(*inputs)
    expected_loss, expected = LossAndLogits(RoundedLlama(network))(*inputs)
    np.testing.assert_allclose(logits.asnumpy(), expected.asnumpy(), atol=1e-4)
    np.testing.assert_allclose(float(loss), float(expected_loss), rtol=1e-5)
    _, exact = LossAndLogits(network)(*inputs)
    assert 0 < np.abs(logits.asnumpy() - exact.asnumpy()).max() < 0.1 * np.abs(exact).max()


def test_odd_rows_are_refused():
    with pytest.raises(UserError, match="int8 needs rows of a multiple of 32, but model.dim is 32"):
        Int8Llama(tiny_config())


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
    assert 0.265 < small / whole < 0.28
