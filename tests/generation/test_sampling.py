"""Sampling from scores made by hand."""

from collections import Counter

import numpy as np
import pytest

from generation.sampling import Sampling, TextState, choose, draw, likeliest, log_probabilities

VOCAB = 8
SCORES = np.log(np.array([0.02, 0.4, 0.3, 0.15, 0.08, 0.03, 0.01, 0.01], np.float32))


def choices(sampling: Sampling, text=(), draws: int = 2000, scores=SCORES) -> Counter:
    """How often each id follows a text; the rows are texts with random numbers of their own."""
    texts = [TextState(text, sampling, sample) for sample in range(draws)]
    return Counter(choose(np.tile(scores, (draws, 1)), texts, sampling).tolist())


def best(sampling: Sampling, text=(), new=(), scores=SCORES) -> int:
    state = TextState(text, sampling)
    for token in new:
        state.add(token)
    return int(choose(scores[None], [state], sampling)[0])


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
        (Sampling(min_p=0.3), {1, 2, 3}),
        (Sampling(min_p=1.0), {1}),
        (Sampling(min_p=0.3, top_k=2), {1, 2}),
        (Sampling(min_p=0.5, top_p=0.99), {1, 2}),
    ],
)
def test_only_the_most_likely_are_kept(sampling, kept):
    assert set(choices(sampling)) == kept


def test_top_p_of_a_large_vocabulary_keeps_what_a_full_sort_keeps():
    scores = np.random.default_rng(0).normal(0, 3, 5000).astype(np.float32)
    p = np.exp(scores.astype(np.float64)) / np.exp(scores.astype(np.float64)).sum()
    order = np.argsort(-p)
    kept = order[: np.searchsorted(np.cumsum(p[order]), 0.4) + 1]
    seen = choices(Sampling(top_p=0.4), draws=400, scores=scores)
    assert set(seen) <= set(kept.tolist()) and len(seen) > 0.5 * len(kept)


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_repetition_penalty_lowers_what_the_text_has(shift):
    scores = SCORES + np.float32(shift)  # below and above zero
    greedy = Sampling(temperature=0, repetition_penalty=1.5)
    assert best(greedy, scores=scores) == 1
    assert best(greedy, [1, 1, 4], scores=scores) == 2
    assert best(greedy, new=[1], scores=scores) == 2
    assert choices(Sampling(repetition_penalty=1.5), [1])[1] < choices(Sampling())[1]


def test_frequency_penalty_counts_what_was_written_and_not_the_prompt():
    greedy = Sampling(temperature=0, frequency_penalty=0.2)
    assert best(greedy, [1, 1, 1, 1]) == 1
    assert best(greedy, new=[1]) == 1, "log 0.4 - 0.2 > log 0.3"
    assert best(greedy, new=[1, 1]) == 2
    assert best(Sampling(temperature=0, frequency_penalty=0.05), new=[1, 1]) == 1


@pytest.mark.parametrize(
    ("n", "text", "new", "chosen"),
    [
        (2, [1], [], 1),
        (2, [1, 1], [], 2),  # 1 1 stands there
        (2, [1, 5], [1], 1),  # 1 5 does, but not 1 1
        (3, [1, 1], [], 1),
        (3, [1, 1, 1], [], 2),
        (3, [7, 3, 1, 4], [7, 3], 2),
        (1, [1, 2], [3], 4),
        (1, range(VOCAB), [], 1),  # all are banned: better one twice than none
    ],
)
def test_no_ngram_is_written_twice(n, text, new, chosen):
    assert best(Sampling(temperature=0, no_repeat_ngram=n), text, new) == chosen


def test_a_banned_id_is_never_drawn():
    seen = choices(Sampling(no_repeat_ngram=1, temperature=9.0), [0, 1, 2, 3])
    assert set(seen) == {4, 5, 6, 7}


def test_sampling_changes_nothing_it_is_given():
    before = SCORES.copy()
    choices(Sampling(repetition_penalty=2.0, temperature=0.5, top_k=2, top_p=0.5), [1, 2])
    assert np.array_equal(SCORES, before)


def test_scores_of_a_diverged_model():
    with pytest.raises(ValueError, match="not finite"):
        best(Sampling(), scores=np.full(4, np.nan, np.float32))


def test_log_probabilities_are_of_the_model_whatever_the_scale():
    for scores in (SCORES, SCORES + 700):
        found = log_probabilities(scores, [0, 7, 1])
        np.testing.assert_allclose(found, SCORES[[0, 7, 1]], atol=1e-4)


@pytest.mark.parametrize("size", [8, 64, 1000, 5056])
def test_the_likeliest_are_those_of_a_full_sort(size):
    rng = np.random.default_rng(size)
    for scores in (rng.normal(0, 3, size), rng.integers(0, 9, size), np.arange(size)):
        scores = scores.astype(np.float32)
        order = np.lexsort((np.arange(size), -scores))
        for n in (0, 1, 7, 70, size):
            assert likeliest(scores, n).tolist() == order[:n].tolist()


@pytest.mark.parametrize("size", [1, 63, 64, 200, 5056])
def test_a_draw_is_that_of_the_running_sum(size):
    rng = np.random.default_rng(size)
    p = rng.random(size).astype(np.float32) * (rng.random(size) < 0.3)
    p[rng.integers(size)] = 1
    sums = p.astype(np.float64).cumsum()
    for uniform in rng.random(300):
        place = draw(p, uniform)
        assert p[place] > 0
        assert sums[place] >= uniform * sums[-1] - 1e-5 * sums[-1]
        assert sums[place] - p[place] <= uniform * sums[-1] + 1e-5 * sums[-1]
    for uniform in (0.0, np.nextafter(1.0, 0.0)):
        assert p[draw(p, uniform)] > 0
