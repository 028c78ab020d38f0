"""Credit by a value head: PPO's rewards, advantages and returns for each new id.

The reward of a completion comes with its last id; each id costs what it leaves the reference model
by, as in InstructGPT (arXiv:2203.02155) and trl. With lp and ref the log-probabilities of id t, V_t
the value before it is chosen, and 0 for all that comes after the last id:

    r_t     = -beta (lp_t - ref_t), and the reward of the completion at the last id
    delta_t = r_t + gamma V_{t+1} - V_t
    A_t     = delta_t + gamma lambda A_{t+1}            (GAE, arXiv:1506.02438)
    R_t     = A_t + V_t
"""

import numpy as np

from training.feeds.credit import Credit
from training.feeds.rollout_rows import CompletionColumns, Credited
from training.feeds.scorer import in_batches
from training.objectives.proximal_policy import ProximalPolicy
from training.parallel import World, values_of_all

VARIANCE_FLOOR = 1e-8
"""Added to the variance of advantages, as trl does."""


class ActorCriticCredit(Credit):
    """Each id is compared with what the value head expected before it: PPO."""

    columns = ProximalPolicy.columns

    def __call__(self, rolled, policy):
        """Make rows; a completion whose reward is NaN is left out of the loss."""
        config, scores = self.config, rolled.scores.total
        found = CompletionColumns.of(rolled.completions, self.seq_len, self.pad_id)
        scored = ~np.isnan(scores)
        mask = found.mask * scored[:, None]
        reference = found.scored_by(policy.reference, self.batch)
        values = in_batches(policy.values, found.tokens, found.segments, batch=self.batch) * mask
        rewards = token_rewards(
            np.where(scored, scores, 0), found.log_probs, reference, mask, config.beta
        )
        raw = generalised_advantages(rewards, values, mask, config.gamma, config.gae_lambda)
        returns = raw + values
        used = whitened(raw, mask, self.world) if config.whiten else raw
        figures = {"explained_variance": explained_variance(values, returns, mask)}
        if policy.reference is not None:
            figures["kl"] = mean_divergence(found.log_probs, reference, mask)
        # Where no reward is known, a count keeps the loss from being 0 / 0.
        counts = (mask if scored.any() else found.mask).sum(axis=1)
        columns = (
            found.tokens, found.targets, mask, found.segments,
            used, returns, counts, found.log_probs, values,
        )  # fmt: skip
        rows = list(zip(*columns))
        worth = raw.sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
        return Credited(rows, np.where(scored, worth, np.nan), figures)


def token_rewards(
    scores: np.ndarray, log_probs: np.ndarray, reference: np.ndarray, mask: np.ndarray, beta: float
) -> np.ndarray:
    """r_t of each new id: (N, T), from scores (N,) and the others (N, T)."""
    rewards = -beta * (log_probs - reference) * mask
    rows = np.flatnonzero(mask.any(axis=1))
    last = mask.shape[1] - 1 - np.argmax(mask[rows, ::-1], axis=1)
    rewards[rows, last] += scores[rows]
    return rewards


def generalised_advantages(
    rewards: np.ndarray, values: np.ndarray, mask: np.ndarray, gamma: float, gae_lambda: float
) -> np.ndarray:
    """A_t of each new id, 0 elsewhere: (N, T) float32, from arrays of that shape.

    The new ids of a row stand side by side; values are 0 elsewhere.
    """
    n, time = rewards.shape
    found = np.zeros((n, time + 1))
    following = np.zeros((n, time + 1))
    following[:, :-1] = values
    for t in range(time - 1, -1, -1):
        delta = rewards[:, t] + gamma * following[:, t + 1] - values[:, t]
        found[:, t] = mask[:, t] * (delta + gamma * gae_lambda * found[:, t + 1])
    return found[:, :-1].astype(np.float32)


def whitened(advantages: np.ndarray, mask: np.ndarray, world: World) -> np.ndarray:
    """(A - mean) / sqrt(variance + 1e-8) over the new ids of all ranks, 0 elsewhere: (N, T).

    The variance is the sample's (n - 1).
    """

    def total(values: np.ndarray) -> float:
        return sum(values_of_all(float(values.sum(dtype=np.float64)), world))

    count = total(mask)
    mean = total(advantages * mask) / max(count, 1)
    centred = (advantages - mean) * mask
    variance = total(np.square(centred, dtype=np.float64)) / max(count - 1, 1)
    return (centred / np.sqrt(variance + VARIANCE_FLOOR)).astype(np.float32)


def explained_variance(values: np.ndarray, returns: np.ndarray, mask: np.ndarray) -> float:
    """1 - Var(R - V) / Var(R) over the new ids; 0 where all returns are equal."""
    known = mask > 0
    spread = returns[known].var() if known.any() else 0.0
    return float(1 - (returns - values)[known].var() / spread) if spread > 0 else 0.0


def mean_divergence(log_probs: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> float:
    """Mean over the new ids of exp(ref - lp) - (ref - lp) - 1: KL(policy || ref) in nats, k3."""
    difference = (reference - log_probs)[mask > 0]
    return float(np.mean(np.expm1(difference) - difference)) if len(difference) else 0.0
