"""The reward of a recipe: a weighted sum of registered ones, each kept apart."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import UserError
from rewards.answer import Answer
from rewards.registry import Reward, find_reward

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """Rewards of a batch of answers."""

    total: np.ndarray
    """(N,) float32, the weighted sum; NaN where a reward failed"""
    parts: dict[str, np.ndarray]
    """(N,) float32 of each reward by name, not weighted"""

    @property
    def failed(self) -> int:
        """Answers that could not be scored."""
        return int(np.isnan(self.total).sum())

    def means(self) -> dict[str, float]:
        """Mean of the sum and of each part over the answers that were scored."""
        values = {"reward": self.total, **{f"reward_{n}": v for n, v in self.parts.items()}}
        return {name: _mean(value) for name, value in values.items()}


class WeightedReward:
    """Called with a batch of answers, returns `Scores`."""

    def __init__(self, weights: Mapping[str, float], vocabulary: str | None = None):
        """`weights` by the names of rewards; `vocabulary`: fingerprint of the policy's tokenizer.

        Raises:
            UserError: a name is unknown, there is none, or a reward model reads another vocabulary.
        """
        if not weights:
            raise UserError("objective.rewards names no reward; docs/rewards.md lists them")
        self.weights = dict(weights)
        self.rewards = [find_reward(name) for name in weights]
        for reward in self.rewards:
            if vocabulary and reward.vocabulary not in (None, vocabulary):
                raise UserError(
                    f"objective.rewards: {reward.name} was trained with another tokenizer than the "
                    "model of train.init_from; train both from the same base"
                )

    def __call__(self, answers: Sequence[Answer]) -> Scores:
        """Score answers; what raises or is not finite is logged, counted, and NaN in `total`."""
        parts = {reward.name: self._score(reward, answers) for reward in self.rewards}
        total = sum(self.weights[name] * values for name, values in parts.items())
        return Scores(total.astype(np.float32), parts)

    def _score(self, reward: Reward, answers: Sequence[Answer]) -> np.ndarray:
        try:
            values = np.array(reward.score_all(answers), np.float32)
        except Exception as error:
            if reward.of_batch:
                log.warning(f"reward {reward.name} failed on a whole batch: {error!r}")
                return np.full(len(answers), math.nan, np.float32)
            values = np.array([self._one(reward, answer) for answer in answers], np.float32)
        return np.where(np.isfinite(values), values, math.nan)

    def _one(self, reward: Reward, answer: Answer) -> float:
        try:
            return reward.score_all([answer])[0]
        except Exception as error:
            log.warning(f"reward {reward.name} failed on {answer.completion!r}: {error!r}")
            return math.nan


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
