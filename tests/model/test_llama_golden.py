"""The network against numpy in float64: loss, logits and every gradient.

Logits, of order 1, agree to 1e-5. A gradient sums over positions, so it agrees to 1e-5 of the
largest entry of its tensor.
"""

import numpy as np
import pytest
from mindspore import Tensor

from model.llama import Llama, Logits
from tests.golden.numpy_llama import loss_logits_gradients
from tests.model.cases import Gradients, batch, lively, tensors, tiny_config, values

pytestmark = pytest.mark.usefixtures("graph_mode")

VARIANTS = {
    "plain": {},
    "grouped-query": {"n_kv_heads": 2},
    "one key head, untied": {"n_kv_heads": 1, "tie_embeddings": False},
    "biased": {"attention_bias": True},
    "documents": {"document_mask": True},
    "short": {"document_mask": True, "n_kv_heads": 2, "max_seq_len": 20, "attention_bias": True},
}


def check(config, recompute=False):
    network = lively(Llama(config))
    if recompute:
        for block in network.layers:
            block.recompute()
    inputs = batch()
    (loss, logits), gradients = Gradients(network)(*tensors(inputs))
    true_loss, true_logits, true_gradients = loss_logits_gradients(config, values(network), *inputs)

    assert np.abs(true_logits).max() > 1
    np.testing.assert_allclose(loss.asnumpy(), true_loss, rtol=1e-6)
    np.testing.assert_allclose(logits.asnumpy(), true_logits, rtol=0, atol=1e-5)
    names = [p.name for p in network.trainable_params()]
    assert sorted(names) == sorted(true_gradients)
    for name, gradient in zip(names, gradients):
        scale = np.abs(true_gradients[name]).max()
        assert scale > 1e-2, name
        error = np.abs(gradient.asnumpy() - true_gradients[name]).max()
        assert error <= 1e-5 * scale, f"{name}: {error} of {scale}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_logits_and_gradients(variant):
    check(tiny_config(**VARIANTS[variant]))


def test_recomputed_blocks():
    check(tiny_config(n_kv_heads=2, document_mask=True), recompute=True)


def test_the_forms_for_accelerators(accelerator_forms):
    check(tiny_config(n_kv_heads=2, document_mask=True))


def test_numpy_gradients_by_finite_differences():
    config = tiny_config(
        n_kv_heads=2, attention_bias=True, tie_embeddings=False, document_mask=True
    )
    params = {n: v.astype(np.float64) for n, v in values(lively(Llama(config))).items()}
    inputs, rng = batch(), np.random.default_rng(0)
    _, _, gradients = loss_logits_gradients(config, params, *inputs)
    for name, value in params.items():
        if name.startswith("layers.1"):
            continue  # the same code as layer 0, whose gradient passes through it
        direction = rng.standard_normal(value.shape)
        losses = [
            loss_logits_gradients(config, {**params, name: value + h * direction}, *inputs)[0]
            for h in (1e-5, -1e-5)
        ]
        slope = (losses[0] - losses[1]) / 2e-5
        np.testing.assert_allclose((gradients[name] * direction).sum(), slope, rtol=1e-6)


@pytest.fixture(scope="module")
def masked():
    """Logits of a network that keeps documents apart."""
    network = Logits(lively(Llama(tiny_config(n_kv_heads=2, document_mask=True))))

    def logits(tokens, segment_ids):
        return network(Tensor(tokens), Tensor(segment_ids)).asnumpy()

    return logits


def test_later_tokens_do_not_change_earlier_logits(masked):
    tokens, one = batch()[0], np.zeros((2, 12), np.int32)
    changed = tokens.copy()
    changed[:, 7:] = (changed[:, 7:] + 1) % 50
    before, after = masked(tokens, one), masked(changed, one)
    assert np.array_equal(before[:, :7], after[:, :7])
    assert np.abs(before[:, 7:] - after[:, 7:]).max(-1).min() > 1e-2


def test_a_document_is_read_as_if_it_stood_alone(masked):
    """Rotary positions are relative, so document 2 need not begin at position 0."""
    tokens = batch()[0]
    segments = np.repeat([[0] * 5 + [1] * 7], 2, 0).astype(np.int32)
    packed = masked(tokens, segments)[:, 5:]
    alone = np.concatenate([tokens[:, 5:], tokens[:, :5]], 1)
    np.testing.assert_allclose(packed, masked(alone, segments[:, ::-1].copy())[:, :7], atol=1e-5)
    assert np.abs(packed - masked(tokens, np.zeros_like(segments))[:, 5:]).max() > 1e-2
