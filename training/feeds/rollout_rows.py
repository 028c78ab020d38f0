"""From completions and their rewards to the columns of a training row."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import atomic_open, remove_begun
from generation.completions import Completion
from training.feeds.base import Row
from training.feeds.scorer import TargetLogProbs, in_batches
from training.objectives.config import GrpoConfig

STD_FLOOR = 1e-4
"""Added to a group's standard deviation, as trl does."""


def advantages(rewards: np.ndarray, group: int, scale_by_std: bool) -> np.ndarray:
    """How much better each completion is than its group: (N,) float32.

        A = (r - mean) / (std + 1e-4)       over the `group` completions of a prompt

    Without `scale_by_std`, A = r - mean. The standard deviation is the sample's (N - 1). A
    completion whose reward is NaN takes no part and has advantage 0, and so has one that is left
    alone in its group.
    """
    found = np.zeros(len(rewards), np.float32)
    for begin in range(0, len(rewards), group):
        rows = np.arange(begin, begin + group)
        rows = rows[~np.isnan(rewards[rows])]
        if len(rows) > 1:
            centred = rewards[rows] - rewards[rows].mean()
            if scale_by_std:
                centred = centred / (rewards[rows].std(ddof=1) + STD_FLOOR)
            found[rows] = np.where(np.abs(centred) < 1e-6, 0, centred)
    return found


@dataclass(frozen=True)
class CompletionColumns:
    """Completions as rows: each holds a prompt with its completion, and padding in a segment of
    its own. All arrays are (N, T)."""

    tokens: np.ndarray
    targets: np.ndarray
    segments: np.ndarray
    mask: np.ndarray
    """float32, 1 where the target is a new id"""
    log_probs: np.ndarray
    """float32, of the new ids when they were sampled, in nats; 0 elsewhere"""

    @classmethod
    def of(
        cls, completions: Sequence[Completion], seq_len: int, pad_id: int
    ) -> "CompletionColumns":
        """The rows of completions, one each."""
        n = len(completions)
        ids = np.full((n, seq_len + 1), pad_id, np.int32)
        new = np.zeros((n, seq_len + 1), np.float32)
        old = np.zeros((n, seq_len + 1), np.float32)
        segments = np.ones((n, seq_len + 1), np.int32)
        for row, completion in enumerate(completions):
            begin = len(completion.prompt)
            end = begin + len(completion.ids)
            ids[row, :begin], ids[row, begin:end] = completion.prompt, completion.ids
            new[row, begin:end], old[row, begin:end] = 1, completion.log_probs
            segments[row, :end] = 0
        return cls(ids[:, :-1], ids[:, 1:], segments[:, :-1], new[:, 1:], old[:, 1:])

    def scored_by(self, reference: TargetLogProbs | None, batch: int) -> np.ndarray:
        """Log-probabilities of all targets under a reference, or without one `log_probs`."""
        if reference is None:
            return self.log_probs
        return in_batches(reference, self.tokens, self.targets, self.segments, batch=batch)


@dataclass(frozen=True)
class Credited:
    """Completions as rows of training, with what they are worth."""

    rows: list[Row]
    worth: np.ndarray
    """(N,) float32, the advantage of each completion, for tables"""
    figures: dict[str, float]
    """what a record says of them"""


def rollout_rows(
    completions: Sequence[Completion],
    worth: np.ndarray,
    config: GrpoConfig,
    seq_len: int,
    pad_id: int,
    reference: TargetLogProbs | None,
    batch: int,
    scored: np.ndarray,
) -> list[Row]:
    """A row for each completion, its columns as `GroupRelative` names them.

    One that is not `scored`, (N,) bool, is left out of the loss: its weights are 0, and it is not
    counted.
    """
    found = CompletionColumns.of(completions, seq_len, pad_id)
    mask, ones = found.mask, np.ones(len(completions), np.float32)
    lengths = mask.sum(axis=1, keepdims=True)
    if config.normalise == "token":
        weight, counts = mask, lengths[:, 0]
    elif config.normalise == "sequence":
        weight, counts = mask / lengths, ones
    else:
        weight, counts = mask / np.float32(config.max_new_tokens), ones
    weight = weight * scored[:, None]
    if scored.any():  # without any, a count keeps the loss from being 0 / 0
        counts = counts * scored
    columns = (
        found.tokens, found.targets, weight.astype(np.float32), found.segments,
        worth.astype(np.float32), counts.astype(np.float32), found.log_probs,
        found.scored_by(reference, batch),
    )  # fmt: skip
    return list(zip(*columns))


def write_table(path: Path, rolled, worth: np.ndarray) -> None:
    """Write rollouts with their rewards and advantages, an object of JSON a line."""
    remove_begun(path)
    scores = rolled.scores
    with atomic_open(path, "w") as file:
        for row, answer in enumerate(rolled.answers):
            values = {
                "prompt": answer.prompt,
                "completion": answer.completion,
                "ended": answer.ended,
                "reward": _number(scores.total[row]),
                **{name: _number(part[row]) for name, part in scores.parts.items()},
                "advantage": _number(worth[row]),
            }
            file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
