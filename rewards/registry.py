"""Rewards by name. A rule gives each answer a number from 0 to 1; a new one is one function.

`model:out/reward` is the reward model of that run, whose numbers have no bounds.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import UserError
from rewards.answer import Answer

# The modules whose rewards a recipe can name; a new family is a new module and a line here.
REWARD_MODULES = (
    "rewards.general",
    "rewards.idioms",
    "rewards.poem.rules",
    "rewards.poem.variety",
)
MODEL = "model:"
"""Begins the name of a reward model; its run directory follows."""
PASSED = 1.0 - 1e-9
"""An answer passes a reward with full marks."""

REWARDS: dict[str, "Reward"] = {}
MEASURES: dict[str, Callable[[Sequence[Answer]], float]] = {}
"""Numbers of a whole set of answers that no single one has, such as distinct-2, by name."""


@dataclass(frozen=True)
class Reward:
    """What answers are scored by: a rule, from 0 (not kept) to 1 (full marks), or a model."""

    name: str
    score_all: Callable[[Sequence[Answer]], list[float]]
    """The numbers of the answers of a batch, in their order."""
    of_batch: bool = False
    """whether the number of an answer depends on the other answers of the batch"""
    vocabulary: str | None = None
    """a model: fingerprint of the tokenizer that it reads; None: a rule, which reads text"""

    def score(
        self, prompt: str, completion: str, key: dict[str, Any] | None = None, ended: bool = True
    ) -> float:
        """The number of one answer by itself."""
        return self.score_all([Answer(prompt, completion, key or {}, ended)])[0]


def reward(name: str) -> Callable:
    """Register the decorated function, `Answer` to a number, as the reward `name`."""

    def register(score: Callable[[Answer], float]) -> Callable[[Answer], float]:
        REWARDS[name] = Reward(name, lambda answers: [float(score(a)) for a in answers])
        return score

    return register


def batch_reward(name: str) -> Callable:
    """Register the decorated function, a batch of answers to their numbers, as a reward."""

    def register(score_all: Callable[[Sequence[Answer]], list[float]]) -> Callable:
        REWARDS[name] = Reward(name, score_all, of_batch=True)
        return score_all

    return register


def measure(name: str) -> Callable:
    """Register the decorated function, a set of answers to one number, as a measure."""

    def register(function: Callable[[Sequence[Answer]], float]) -> Callable:
        MEASURES[name] = function
        return function

    return register


def find_reward(name: str) -> Reward:
    """The reward that a recipe calls `name`.

    Raises:
        UserError: there is none of that name, or the run of a model is none.
    """
    if name.startswith(MODEL):
        return _model_reward(name)
    load_rewards()
    if name not in REWARDS:
        raise UserError(f"reward {name!r} is unknown; the rewards are {', '.join(sorted(REWARDS))}")
    return REWARDS[name]


def find_family(name: str) -> tuple[list[Reward], dict[str, Callable[[Sequence[Answer]], float]]]:
    """The reward of a name, or all whose names begin with it and `_`; and their measures.

    Raises:
        UserError: there is none.
    """
    if name.startswith(MODEL):
        return [find_reward(name)], {}
    load_rewards()

    def belongs(other: str) -> bool:
        return other == name or other.startswith(f"{name}_")

    rewards = [found for other, found in REWARDS.items() if belongs(other)]
    if not rewards:
        find_reward(name)
    return rewards, {other: found for other, found in MEASURES.items() if belongs(other)}


def load_rewards() -> None:
    """Import the modules of all rewards, which registers them."""
    for module in REWARD_MODULES:
        importlib.import_module(module)


@functools.lru_cache
def _model_reward(name: str) -> Reward:
    # Only now: rules need no MindSpore, which reads its environment when it is imported.
    from rewards.model import load_reward_model

    model = load_reward_model(name.removeprefix(MODEL))
    return Reward(name, model.score_all, vocabulary=model.tokenizer.fingerprint)
