"""Log-likelihoods against Hugging Face's LlamaForCausalLM with the same weights, and by hand."""

import numpy as np
import pytest

from evaluation.scoring import Scorer, windows
from interop.names import foreign_names
from model.config import ModelConfig
from model.llama import Llama

EOS, VOCAB, CONTEXT = 2, 320, 48
CONFIG = ModelConfig(
    dim=32, n_layers=2, n_heads=4, n_kv_heads=2, hidden_dim=64, max_seq_len=CONTEXT,
    vocab_size=VOCAB, tie_embeddings=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def network(graph_mode):
    network = Llama(CONFIG, seed=3)
    for parameter in network.get_parameters():
        # Initial weights are so small that every id is nearly as likely as the next.
        if parameter.ndim > 1:
            parameter.set_data(parameter * 6)
    return network


@pytest.fixture(scope="module")
def scorer(network):
    return Scorer(network, EOS, batch=4)


@pytest.fixture(scope="module")
def reference(network):
    """Log-probabilities of every next id after a row of ids, (T, V), by PyTorch."""
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=CONFIG.padded_vocab_size, hidden_size=32, intermediate_size=64,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, tie_word_embeddings=False,
        )
    ).eval()  # fmt: skip
    names = foreign_names(CONFIG, "hf")
    parameters = network.parameters_and_names()
    weights = {names[name]: torch.tensor(value.asnumpy()) for name, value in parameters}
    theirs.load_state_dict(weights)

    def log_probs(ids):
        with torch.no_grad():
            logits = theirs(torch.tensor([list(map(int, ids))])).logits[0]
        return torch.log_softmax(logits, -1).numpy()

    return log_probs


def texts(n: int, seed: int = 0, longest: int = CONTEXT) -> list[tuple[list[int], list[int]]]:
    """Pairs of ids that together fit the context behind an <eos>."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(n):
        length = int(rng.choice([*range(1, 12), *range(CONTEXT // 2, longest)]))
        ids = rng.integers(3, VOCAB, length).tolist()
        cut = int(rng.integers(0, length))
        pairs.append((ids[:cut], ids[cut:]))
    return pairs


def test_two_hundred_texts_equal_hugging_face(scorer, reference):
    pairs = texts(200)
    for (before, after), likelihood in zip(pairs, scorer.continuations(pairs), strict=True):
        expected = reference([EOS, *before, *after[:-1]])[len(before) :]
        chosen = expected[np.arange(len(after)), after]
        np.testing.assert_allclose(likelihood.log_probs, chosen, atol=1e-4)
        assert likelihood.is_greedy == bool((expected.argmax(-1) == after).all())
        assert likelihood.total == pytest.approx(chosen.sum(), abs=1e-4 * len(after))


def test_the_likeliest_continuation_is_greedy(scorer, reference):
    before, after = [5, 6, 7], []
    for _ in range(4):
        after.append(int(reference([EOS, *before, *after])[-1].argmax()))
    one, several = scorer.continuations([(before, after[:1]), (before, after)])
    assert one.is_greedy and several.is_greedy


def test_letters_after_one_prompt_are_read_in_one_pass(scorer, monkeypatch):
    passes = []
    plain = scorer.next_scores
    monkeypatch.setattr(scorer, "next_scores", lambda *fields: passes.append(1) or plain(*fields))
    found = scorer.continuations([([7, 8, 9], [letter]) for letter in (10, 11, 12, 13)])
    assert len(passes) == 1
    apart = [scorer.continuations([([7, 8, 9], [letter, 3])])[0] for letter in (10, 11, 12, 13)]
    assert [f.total for f in found] == pytest.approx([a.log_probs[0] for a in apart], abs=1e-5)


def test_nothing_is_certain(scorer):
    (empty,) = scorer.continuations([([5], [])])
    assert empty.total == 0 and empty.is_greedy
    assert scorer.continuations([]) == []


def test_a_context_that_is_too_long_loses_its_front(scorer, reference):
    ids = texts(1, seed=5, longest=2 * CONTEXT + 1)[0][0] + list(range(3, 3 + CONTEXT))
    found = scorer.continuations([(ids, [9]), (ids, [9, 10, 11])])
    last = ids[-CONTEXT:]
    assert found[0].total == pytest.approx(reference(last)[-1, 9], abs=1e-4)
    row = reference([*ids, 9, 10][-CONTEXT:])[-3:]
    np.testing.assert_allclose(found[1].log_probs, row[np.arange(3), [9, 10, 11]], atol=1e-4)


def test_a_continuation_longer_than_the_context_is_read_in_windows(scorer, reference):
    ids = np.random.default_rng(1).integers(3, VOCAB, 2 * CONTEXT + 7).tolist()
    (found,) = scorer.continuations([([], ids)])
    text = [EOS, *ids]
    first = reference(text[:CONTEXT])[np.arange(CONTEXT), text[1 : CONTEXT + 1]]
    np.testing.assert_allclose(found.log_probs[:CONTEXT], first, atol=1e-4)
    end = reference(text[-CONTEXT - 1 : -1])[np.arange(CONTEXT), text[-CONTEXT:]][-7:]
    np.testing.assert_allclose(found.log_probs[-7:], end, atol=1e-4)


@pytest.mark.parametrize("stride", [48, 24, 5])
def test_sliding_windows_predict_each_id_once_from_a_full_context(scorer, reference, stride):
    ids = np.random.default_rng(2).integers(3, VOCAB, 131).astype(np.int32)
    read = lambda start, stop: ids[start:stop]  # noqa: E731
    found = np.concatenate(list(scorer.text(len(ids), read, stride)))
    assert len(found) == len(ids)
    text = [EOS, *ids.tolist()]
    for i in (0, CONTEXT - 1, CONTEXT, CONTEXT + stride, len(ids) - 1):
        (window,) = [w for w in windows(132, 1, CONTEXT, stride) if w.first <= i + 1 < w.end]
        expected = reference(text[window.begin : i + 1])[-1, ids[i]]
        assert found[i] == pytest.approx(expected, abs=1e-4)
        assert i < CONTEXT or i + 1 - window.begin >= CONTEXT - stride + 1


def test_windows_cover_what_is_asked_and_nothing_else():
    for n, first, context, stride in [(1, 1, 8, 8), (9, 1, 8, 8), (30, 5, 8, 3), (30, 20, 8, 8)]:
        found = list(windows(n, first, context, stride))
        assert [i for w in found for i in range(w.first, w.end)] == list(range(first, n))
        assert all(0 <= w.begin < w.first and w.end - 1 - w.begin <= context for w in found)
