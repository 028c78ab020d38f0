"""Decoding with the cache equals the whole forward, at every position."""

import numpy as np
import pytest
from mindspore import Tensor
from mindspore import dtype as mstype

from model.cache import Decoder, DecodeStep
from model.llama import Llama
from tests.model.cases import LossAndLogits, batch, lively, tensors, tiny_config
from training.dataset import batch_fields

pytestmark = pytest.mark.usefixtures("graph_mode")

VARIANTS = {
    "plain": {},
    "grouped-query, bias": {"n_kv_heads": 2, "attention_bias": True},
    "one key head, untied": {"n_kv_heads": 1, "tie_embeddings": False},
}


def cached_logits(step: DecodeStep, tokens: np.ndarray) -> np.ndarray:
    """Scores (B, T, V) of tokens, (B, T), read one position at a time."""
    scores = [
        step(Tensor(tokens[:, t]), Tensor(t, mstype.int32)).asnumpy()
        for t in range(tokens.shape[1])
    ]
    return np.stack(scores, axis=1)


def uncached_logits(network: Llama, fields) -> np.ndarray:
    return LossAndLogits(network)(*tensors(fields))[1].asnumpy()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_cached_equals_uncached_and_a_new_text_needs_no_clearing(changes):
    network = lively(Llama(tiny_config(**changes)))
    names = [p.name for p in network.get_parameters()]
    step = DecodeStep(network, batch=2)
    for seed in (2, 3):
        fields = batch(seed=seed)
        expected = uncached_logits(network, fields)
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(cached_logits(step, fields[0]), expected, atol=1e-4)
    assert [p.name for p in network.get_parameters()] == names, "checkpoints rely on the names"


def test_weights_are_shared_not_copied():
    network = lively(Llama(tiny_config()))
    step, fields = DecodeStep(network, batch=2), batch()
    before = cached_logits(step, fields[0])
    lively(network, seed=9)
    after = cached_logits(step, fields[0])
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(after, uncached_logits(network, fields), atol=1e-4)


@pytest.mark.parametrize("document_mask", [False, True])
def test_a_text_begins_as_a_document_after_eos(document_mask):
    eos_id, text = 2, [7, 5, 31, 8]
    network = lively(Llama(tiny_config(n_kv_heads=2, document_mask=document_mask)))
    row = np.array([[eos_id, *text, 0]], np.int32)
    expected = uncached_logits(network, batch_fields(row, eos_id))[0]
    decoder = Decoder(network)
    scores = np.stack([decoder.begin(eos_id), *map(decoder.feed, text)])
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_the_context_ends():
    decoder = Decoder(Llama(tiny_config(max_seq_len=3)))
    decoder.begin(0)
    for token in (1, 2):
        decoder.feed(token)
    with pytest.raises(ValueError, match="context of 3 tokens is full"):
        decoder.feed(3)
