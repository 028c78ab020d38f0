"""Credit assignment: from rollouts and their rewards to the rows of an on-policy objective."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from recipe import Recipe
from training.feeds.rollout_rows import Credited, advantages, rollout_rows
from training.feeds.rollouts import Policy, Rollouts
from training.objectives.group_relative import GroupRelative
from training.parallel import World


class Credit(ABC):
    """Called with the rollouts of this rank and who wrote them, returns `Credited`."""

    columns: ClassVar[tuple[str, ...]]
    """of the objective that the rows are for"""

    def __init__(self, recipe: Recipe, pad_id: int, world: World):
        self.config, self.pad_id, self.world = recipe.objective, pad_id, world
        self.seq_len, self.batch = recipe.model.max_seq_len, recipe.train.micro_batch

    @abstractmethod
    def __call__(self, rolled: Rollouts, policy: Policy) -> Credited:
        """Make rows, one for each completion."""


class GroupCredit(Credit):
    """Each completion is compared with the others of its prompt: GRPO."""

    columns = GroupRelative.columns

    def __call__(self, rolled, policy):
        """Make rows; groups of equal rewards are counted, since nothing is learned from them."""
        group = self.config.group
        scores = rolled.scores.total
        worth = advantages(scores, group, self.config.scale_by_std)
        rows = rollout_rows(
            rolled.completions, worth, self.config, self.seq_len, self.pad_id, policy.reference,
            self.batch, ~np.isnan(scores),
        )  # fmt: skip
        silent = (worth.reshape(-1, group) == 0).all(axis=1).mean()
        return Credited(rows, worth, {"groups_without_signal": float(silent)})
