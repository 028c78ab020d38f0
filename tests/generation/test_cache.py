"""Decoding with the cache equals the whole forward, at every position, row and length."""

import numpy as np
import pytest
from mindspore import Tensor

from generation.decoding import Decoder
from generation.generation import Generation
from generation.sampling import Sampling
from model.llama import Llama, Logits
from tests.model.cases import batch, lively, tiny_config
from training.feeds.tokens import batch_fields

pytestmark = pytest.mark.usefixtures("graph_mode")

EOS = 2
VARIANTS = {
    "plain": {},
    "grouped-query, bias": {"n_kv_heads": 2, "attention_bias": True},
    "one key head, untied": {"n_kv_heads": 1, "tie_embeddings": False},
}
TEXTS = [[7, 5, 31, 8], [9], [], [4, 4, 40, 3, 11, 6, 22]]


def cached_logits(decoder: Decoder, tokens: np.ndarray) -> np.ndarray:
    """Scores (B, T, V) of tokens, (B, T), read one position at a time."""
    decoder.open(*tokens.shape)
    return np.stack([decoder.feed(column).copy() for column in tokens.T], axis=1)


class Uncached(Logits):
    def of(self, fields) -> np.ndarray:
        return self(Tensor(fields[0]), Tensor(fields[-1])).asnumpy()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_cached_equals_uncached_and_a_new_text_needs_no_clearing(changes):
    network = lively(Llama(tiny_config(**changes)))
    names = [p.name for p in network.get_parameters()]
    decoder, uncached = Decoder(network), Uncached(network)
    for seed in (2, 3):
        fields = batch(seed=seed)
        expected = uncached.of(fields)
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(cached_logits(decoder, fields[0]), expected, atol=1e-4)
    assert [p.name for p in network.get_parameters()] == names, "checkpoints rely on the names"


def test_weights_are_shared_not_copied():
    network = lively(Llama(tiny_config()))
    decoder, fields = Decoder(network), batch()
    before = cached_logits(decoder, fields[0])
    lively(network, seed=9)
    after = cached_logits(decoder, fields[0])
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(after, Uncached(network).of(fields), atol=1e-4)


@pytest.mark.parametrize("document_mask", [False, True])
def test_texts_of_all_lengths_begin_as_documents_after_eos_side_by_side(document_mask):
    network = lively(Llama(tiny_config(n_kv_heads=2, document_mask=document_mask)))
    decoder, new = Decoder(network), [17, 3, 44]
    scores = [decoder.begin(TEXTS, EOS, len(new)).copy()]
    scores += [decoder.feed([token] * len(TEXTS)).copy() for token in new]
    rows = np.zeros((len(TEXTS), network.config.max_seq_len), np.int32)
    for row, text in zip(rows, TEXTS):
        row[: len(text) + 4] = [EOS, *text, *new]
    padded = np.pad(rows, ((0, 0), (0, 1)))
    expected = Uncached(network).of(batch_fields(padded, EOS))
    for row, text in enumerate(TEXTS):
        found = np.stack([step[row] for step in scores])
        np.testing.assert_allclose(found, expected[row, len(text) :][:4], atol=1e-4)


def test_an_idle_row_stays_where_it_is():
    network = lively(Llama(tiny_config()))
    decoder = Decoder(network)
    decoder.begin([[5], [6]], EOS, 4)
    alone = [decoder.feed(ids)[0].copy() for ids in ([8, 9], [10, 11])]
    decoder.begin([[5], [6]], EOS, 4)
    decoder.feed([-1, 9])
    assert decoder.positions == [2, 3]
    again = [decoder.feed(ids)[0].copy() for ids in ([8, 11], [10, -1])]
    np.testing.assert_array_equal(alone, again)


def test_greedy_ids_are_the_same_batched_alone_and_without_a_cache():
    network = lively(Llama(tiny_config(max_seq_len=24)), seed=4)
    decoder, uncached = Decoder(network), Uncached(network)
    greedy = Sampling(temperature=0, max_new_tokens=12)

    def continued(prompts) -> list[list[int]]:
        ids = [[] for _ in prompts]
        for new in Generation(decoder, prompts, greedy, EOS, (EOS,), 50):
            ids[new.row].append(new.token)
        return ids

    def continued_without_cache(prompt) -> list[int]:
        row = np.zeros((1, 24), np.int32)
        row[0, : len(prompt) + 1] = [EOS, *prompt]
        for end in range(len(prompt) + 1, len(prompt) + 13):
            row[0, end] = uncached.of([row, row * 0])[0, end - 1, :50].argmax()
            if row[0, end] == EOS:
                break
        return row[0, len(prompt) + 1 : end + (row[0, end] != EOS)].tolist()

    batched = continued(TEXTS)
    assert sum(map(len, batched)) > 20
    assert batched == [continued([text])[0] for text in TEXTS]
    assert batched == [continued_without_cache(text) for text in TEXTS]


def test_few_graphs_are_compiled():
    decoder = Decoder(Llama(tiny_config(max_seq_len=1024)))
    for rows, length in ((3, 100), (4, 200), (4, 300), (4, 999), (4, 5000)):
        decoder.open(rows, length)
    assert sorted(decoder.graphs) == [(1, 256), (4, 256), (4, 512), (4, 1024)]


def test_the_context_ends():
    decoder = Decoder(Llama(tiny_config(max_seq_len=3)))
    decoder.open(2, 99)
    for token in (0, 1, 2):
        decoder.feed([token, -1])
    with pytest.raises(ValueError, match="context of 3 tokens is full"):
        decoder.feed([3, -1])
    assert decoder.feed([-1, 3]).shape == (2, 64)
