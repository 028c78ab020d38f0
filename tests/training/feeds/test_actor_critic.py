"""Advantages and returns of each id against slow loops, and the columns of PPO's rows."""

import numpy as np
import pytest
from mindspore import Tensor

from generation.completions import Completion
from recipe import load_recipe
from rewards.weighted import Scores
from training.feeds.actor_critic import (
    ActorCriticCredit,
    explained_variance,
    generalised_advantages,
    mean_divergence,
    token_rewards,
    whitened,
)
from training.feeds.rollouts import Policy, Rollouts
from training.parallel import World

SPANS = ((3, 8), (2, 12), (5, 6), (1, 9))
ROWS, TIME = len(SPANS), 12


@pytest.fixture(scope="module")
def arrays():
    """Mask, rewards and values of four completions; the values around them are not 0."""
    rng = np.random.default_rng(0)
    mask = np.zeros((ROWS, TIME), np.float32)
    for row, (begin, end) in enumerate(SPANS):
        mask[row, begin:end] = 1
    rewards, values = rng.standard_normal((2, ROWS, TIME)).astype(np.float32)
    return mask, rewards * mask, values * mask


def slow_advantages(rewards, values, gamma, gae_lambda):
    """GAE of one completion, as a sum over all later steps: lists of floats."""
    n = len(rewards)
    following = [*values[1:], 0.0]
    deltas = [rewards[t] + gamma * following[t] - values[t] for t in range(n)]
    return [
        sum((gamma * gae_lambda) ** (later - t) * deltas[later] for later in range(t, n))
        for t in range(n)
    ]


@pytest.mark.parametrize("gamma, gae_lambda", [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.8, 0.0)])
def test_advantages_are_those_of_a_slow_loop(arrays, gamma, gae_lambda):
    mask, rewards, values = arrays
    found = generalised_advantages(rewards, values, mask, gamma, gae_lambda)
    assert not found[mask == 0].any()
    for row, (begin, end) in enumerate(SPANS):
        ids = slice(begin, end)
        truth = slow_advantages(
            rewards[row, ids].tolist(), values[row, ids].tolist(), gamma, gae_lambda
        )
        np.testing.assert_allclose(found[row, ids], truth, rtol=1e-5, atol=1e-6)


def test_the_reward_comes_with_the_last_id_and_each_costs_its_divergence(arrays):
    mask = arrays[0]
    rng = np.random.default_rng(1)
    log_probs, reference = rng.standard_normal((2, ROWS, TIME)).astype(np.float32)
    scores = np.array([1, -2, 3, 0.5], np.float32)
    found = token_rewards(scores, log_probs, reference, mask, 0.1)
    for row, (begin, end) in enumerate(SPANS):
        truth = [-0.1 * (log_probs[row, t] - reference[row, t]) for t in range(begin, end)]
        truth[-1] += scores[row]
        np.testing.assert_allclose(found[row, begin:end], truth, rtol=1e-5, atol=1e-6)
    assert not found[mask == 0].any()
    nobody = token_rewards(scores, log_probs, reference, np.zeros_like(mask), 0.1)
    assert not nobody.any()


def test_whitened_advantages_have_mean_0_and_variance_1(arrays):
    mask, values, _ = arrays
    found = whitened(values, mask, World())
    known = found[mask > 0]
    truth = values[mask > 0]
    np.testing.assert_allclose(known, (truth - truth.mean()) / truth.std(ddof=1), rtol=1e-5)
    assert not found[mask == 0].any()
    assert not whitened(mask, mask, World()).any(), "equal advantages say nothing"


def test_figures_of_values_and_divergence(arrays):
    mask, returns, values = arrays
    known = mask > 0
    truth = 1 - np.var((returns - values)[known]) / np.var(returns[known])
    assert explained_variance(values, returns, mask) == pytest.approx(truth, rel=1e-5)
    assert explained_variance(returns, returns, mask) == 1
    assert explained_variance(values, mask, mask) == 0, "all returns are equal"
    difference = (returns - values)[known]
    truth = np.mean(np.exp(difference) - difference - 1)
    assert mean_divergence(values, returns, mask) == pytest.approx(truth, rel=1e-5)


def places(tokens, segment_ids):
    """A value head that says the place in the row."""
    return Tensor(np.tile(np.arange(tokens.shape[1], dtype=np.float32), (len(tokens), 1)))


def test_columns(repo):
    options = ["--objective", "{whiten: false, beta: 0, gae_lambda: 1}", "--model.max_seq_len", "6"]
    options += ["--train.tokens_per_step", "48"]
    recipe = load_recipe(repo / "configs" / "debug-ppo.yaml", options)
    completions = [
        Completion([7, 8, 9], [4, 2], [-1.0, -2.0], ended=True),
        Completion([5], [6], [-3.0], ended=False),
    ]
    scores = Scores(np.array([1.0, np.nan], np.float32), {})
    credit = ActorCriticCredit(recipe, 0, World())
    found = credit(Rollouts(completions, [], scores), Policy(None, None, places))
    first, failed = found.rows
    tokens, targets, weight, segments, advantages, returns, count, old, values = first
    assert tokens.tolist() == [7, 8, 9, 4, 2, 0] and targets.tolist() == [8, 9, 4, 2, 0, 0]
    assert weight.tolist() == [0, 0, 1, 1, 0, 0] and segments.tolist() == [0, 0, 0, 0, 0, 1]
    assert old.tolist() == [0, 0, -1, -2, 0, 0] and values.tolist() == [0, 0, 2, 3, 0, 0]
    assert returns.tolist() == [0, 0, 1, 1, 0, 0], "lambda 1: the reward that came"
    assert advantages.tolist() == [0, 0, -1, -2, 0, 0]
    assert count == 2 and not any(failed[i].any() for i in (2, 4, 6)), "no reward, no part"
    assert found.worth[0] == -1.5 and np.isnan(found.worth[1])
    assert found.figures == {"explained_variance": 0.0}, "without a reference no divergence"
