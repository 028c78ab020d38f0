"""Sampling, and the loop's reasons to stop, on scores made by hand."""

from collections import Counter

import numpy as np
import pytest

from model.generation import Generation, Sampling, sample

EOS, VOCAB = 0, 8
SCORES = np.log(np.array([0.02, 0.4, 0.3, 0.15, 0.08, 0.03, 0.01, 0.01], np.float32))


class ScriptedDecoder:
    """Scores that prefer the ids of a script in turn; remembers what it was fed."""

    def __init__(self, script, max_seq_len=16, rows=VOCAB):
        self.script, self.max_seq_len, self.rows = list(script), max_seq_len, rows
        self.fed = []

    def begin(self, eos_id):
        self.fed = []
        return self.feed(eos_id)

    def feed(self, token):
        assert len(self.fed) < self.max_seq_len
        self.fed.append(token)
        scores = np.zeros(self.rows, np.float32)
        prompt = len(self.fed) - len(self.script)
        scores[self.script[min(len(self.fed), len(self.script)) - 1] if prompt <= 0 else EOS] = 9
        return scores


def choices(sampling: Sampling, text=(), draws: int = 2000) -> Counter:
    rng = np.random.default_rng(0)
    return Counter(sample(SCORES, text, sampling, rng) for _ in range(draws))


def test_greedy_takes_the_best_and_ignores_the_seed():
    assert choices(Sampling(temperature=0), draws=20) == {1: 20}


def test_top_k_of_one_is_greedy():
    assert choices(Sampling(top_k=1, temperature=5.0), draws=20) == {1: 20}


def test_frequencies_follow_the_probabilities():
    seen = choices(Sampling(), draws=20000)
    for token, log_probability in enumerate(SCORES):
        assert seen[token] / 20000 == pytest.approx(np.exp(log_probability), abs=0.015)


def test_temperature_sharpens_and_flattens():
    cold, hot = (choices(Sampling(temperature=t)) for t in (0.3, 3.0))
    assert cold[1] / 2000 == pytest.approx(0.4**3.33 / sum(np.exp(SCORES) ** 3.33), abs=0.04)
    assert hot[1] < 0.3 * 2000


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(top_k=3), {1, 2, 3}),
        (Sampling(top_k=99), set(range(VOCAB))),
        (Sampling(top_p=0.3), {1}),
        (Sampling(top_p=0.6), {1, 2}),
        (Sampling(top_p=0.75), {1, 2, 3}),
        (Sampling(top_p=0.9, top_k=2), {1, 2}),
        # 0.4 / 0.7 of what top-k leaves is enough for 0.5 but not for 0.6
        (Sampling(top_p=0.5, top_k=2), {1}),
    ],
)
def test_only_the_most_likely_are_kept(sampling, kept):
    assert set(choices(sampling)) == kept


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_repetition_penalty_lowers_what_the_text_has(shift):
    scores = SCORES + shift  # below and above zero
    greedy = Sampling(temperature=0, repetition_penalty=1.5)
    rng = np.random.default_rng(0)
    assert sample(scores, [], greedy, rng) == 1
    assert sample(scores, [1, 1, 4], greedy, rng) == 2
    assert choices(Sampling(repetition_penalty=1.5), [1])[1] < choices(Sampling())[1]


def test_sampling_changes_nothing_it_is_given():
    before = SCORES.copy()
    choices(Sampling(repetition_penalty=2.0, temperature=0.5, top_k=2, top_p=0.5), [1, 2])
    assert np.array_equal(SCORES, before)


def test_scores_of_a_diverged_model():
    with pytest.raises(ValueError, match="not finite"):
        sample(np.full(4, np.nan, np.float32), [], Sampling(), np.random.default_rng(0))


def test_stops_at_eos_and_does_not_yield_it():
    decoder = ScriptedDecoder([3, 4, 5, 6, EOS])
    generation = Generation(decoder, [3, 4], Sampling(temperature=0), EOS, VOCAB)
    assert list(generation) == [5, 6]
    assert generation.stopped_by == "<eos>"
    assert decoder.fed == [EOS, 3, 4, 5, 6]


def test_an_empty_prompt_begins_a_document():
    decoder = ScriptedDecoder([3, EOS])
    assert list(Generation(decoder, [], Sampling(temperature=0), EOS, VOCAB)) == [3]
    assert decoder.fed == [EOS, 3]


def test_stops_after_max_new_tokens_without_feeding_the_last():
    decoder = ScriptedDecoder([3, 4, 5, 6])
    sampling = Sampling(temperature=0, max_new_tokens=2)
    generation = Generation(decoder, [3], sampling, EOS, VOCAB)
    assert list(generation) == [4, 5]
    assert generation.stopped_by == "max_new_tokens"
    assert decoder.fed == [EOS, 3, 4]


def test_stops_when_the_context_is_full():
    decoder = ScriptedDecoder([3, 4, 5, 6, 7, 7, 7], max_seq_len=6)
    generation = Generation(decoder, [3, 4], Sampling(temperature=0), EOS, VOCAB)
    assert list(generation) == [5, 6, 7], "eos + 2 + 3 = 6"
    assert generation.stopped_by == "context"


def test_a_prompt_may_leave_room_for_one_token_but_not_less():
    decoder = ScriptedDecoder([3, 3, 3, 3, 3], max_seq_len=5)
    assert list(Generation(decoder, [3] * 3, Sampling(temperature=0), EOS, VOCAB)) == [3]
    with pytest.raises(ValueError, match="prompt has 4 tokens, but the context of 5 has room for"):
        Generation(decoder, [3] * 4, Sampling(), EOS, VOCAB)


def test_padding_ids_are_never_sampled():
    decoder = ScriptedDecoder([VOCAB + 3] * 16, rows=VOCAB + 4)
    new = list(Generation(decoder, [], Sampling(temperature=0.5, seed=3), EOS, VOCAB))
    assert all(token < VOCAB for token in new)


def test_the_same_seed_gives_the_same_text_whatever_came_before():
    class Flat(ScriptedDecoder):
        def feed(self, token):
            return super().feed(token) * 0

    decoder = Flat([1], max_seq_len=64)

    def text(seed):
        return list(Generation(decoder, [1, 2], Sampling(seed=seed), EOS, VOCAB))

    first = text(5)
    assert text(6) != first
    assert text(5) == first
