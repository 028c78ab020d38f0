"""Half precision: the type chosen arrives at the matrix products, and only there."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import dtype as mstype
from mindspore import ops

from generation.decoding import Decoder
from model.linear import Linear
from model.llama import Llama
from tests.golden.numpy_llama import loss_logits_gradients
from tests.model.cases import Gradients, batch, lively, tensors, tiny_config, values
from training.objectives.cross_entropy import NextToken

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture
def record(monkeypatch, accelerator_forms):
    """Input types of the operators that run: a set of (operator, type)s. Not in graphs."""
    seen = set()

    def watch(operator):
        original = operator.__call__

        def call(self, *inputs):
            seen.update((operator.__name__, x.dtype) for x in inputs)
            return original(self, *inputs)

        monkeypatch.setattr(operator, "__call__", call)

    for operator in (ops.MatMul, ops.BatchMatMul, ops.Softmax):
        watch(operator)
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield seen
    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.mark.parametrize("compute_dtype", [mstype.float16, mstype.float32])
def test_types_that_arrive(record, compute_dtype):
    network = Llama(tiny_config(n_kv_heads=2, attention_bias=True), compute_dtype)
    assert NextToken(network)(*tensors(batch()))[0].dtype == mstype.float32
    assert record == {
        ("MatMul", compute_dtype),
        ("BatchMatMul", compute_dtype),
        ("Softmax", mstype.float32),
    }
    assert {p.dtype for p in network.trainable_params()} == {mstype.float32}


def test_linear_gives_the_compute_type():
    x = tensors([np.ones((2, 4), np.float32)])[0]
    assert Linear(4, 3, mstype.float16, bias=True)(x).dtype == mstype.float16


def test_float16_is_close_to_float32():
    config = tiny_config(n_kv_heads=2, document_mask=True)
    network, inputs = lively(Llama(config, mstype.float16)), batch()
    (loss, logits), gradients = Gradients(network)(*tensors(inputs))
    true_loss, _, true_gradients = loss_logits_gradients(config, values(network), *inputs)
    assert loss.dtype == logits.dtype == mstype.float32
    assert float(loss) == pytest.approx(true_loss, rel=1e-3)
    assert float(loss) != pytest.approx(true_loss, rel=1e-6)  # it was half precision
    for parameter, gradient in zip(network.trainable_params(), gradients):
        truth = true_gradients[parameter.name]
        assert gradient.dtype == parameter.dtype == mstype.float32
        assert np.abs(gradient.asnumpy() - truth).max() < 1e-2 * np.abs(truth).max()


def test_cached_decoding_in_float16():
    network, ids = lively(Llama(tiny_config(n_kv_heads=2), mstype.float16)), batch(rows=1)[0]
    decoder = Decoder(network)
    decoder.open(1, ids.shape[1])
    cached = [decoder.feed(column)[0] for column in ids.T]
    truth = loss_logits_gradients(network.config, values(network), ids, ids, ids * 1.0, ids)[1]
    np.testing.assert_allclose(cached, truth[0], atol=2e-2)
