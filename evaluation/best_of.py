"""Best of n: several answers to each prompt, of which a reward picks the one that is shown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.intervals import mean_interval
from common.tables import format_table
from corpus.example_file import ExampleFile
from evaluation.answers import answer_tasks
from evaluation.document import Document
from rewards.registry import find_reward
from runs.run import Run

LIMIT = 200
"""Tasks that are answered at most."""
SHOWN = 3
"""Prompts whose answers a report shows."""
COLUMNS = ("mean reward", "prompts", "mean", "95 % interval")


@dataclass(frozen=True)
class Picked:
    """The first answer to a prompt and the best of all, with their rewards."""

    prompt: str
    first: str
    first_reward: float
    best: str
    best_reward: float


@dataclass(frozen=True)
class BestOf:
    """What picking the best of n answers gained."""

    reward: str
    n: int
    temperature: float
    picked: list[Picked] = field(default_factory=list)
    not_scored: int = 0
    """prompts left out because the reward of their first answer failed"""

    def rows(self) -> list[tuple[str, ...]]:
        """Mean of the first answers and of the best, and of what each prompt gained."""
        first = np.array([picked.first_reward for picked in self.picked])
        best = np.array([picked.best_reward for picked in self.picked])
        named = {"first answer": first, f"best of {self.n}": best, "gain": best - first}
        return [_row(name, values) for name, values in named.items()]


def measure_best_of(run: Run, keys: Sequence[dict], n: int, reward_name: str) -> BestOf:
    """Answer tasks, given as `ExampleFile.key` does, `n` times each; keep the best by a reward.

    Answers are sampled as the run's `eval` section says, each with random numbers of its own. An
    answer whose reward is not finite is never the best; of equal ones the first is.

    Raises:
        UserError: the reward is unknown or compares answers with each other, all answers would be
            the same, or no answer could be scored.
    """
    reward, config = find_reward(reward_name), run.recipe.eval
    if reward.of_batch:
        raise UserError(
            f"--reward {reward_name} depends on all answers of a batch, so it ranks none by itself;"
            " choose another"
        )
    if config.temperature == 0:
        raise UserError(f"eval.temperature is 0, so {n} answers to a prompt are the same; raise it")
    answers = answer_tasks(run, [key for key in keys for _ in range(n)])
    rewards = np.array(reward.score_all(answers), np.float64).reshape(-1, n)
    picked = []
    for row, values in enumerate(rewards):
        if np.isfinite(values[0]):
            best = int(np.where(np.isfinite(values), values, -np.inf).argmax())
            first, chosen = answers[row * n], answers[row * n + best]
            said = first.completion, float(values[0]), chosen.completion, float(values[best])
            picked.append(Picked(first.prompt, *said))
    if not picked:
        raise UserError(f"--reward {reward_name} gave no answer a number; choose another")
    return BestOf(reward_name, n, config.temperature, picked, len(rewards) - len(picked))


def read_tasks(run: Run, folder: Path | None) -> list[dict]:
    """Keys of held-out tasks in a data folder, spread evenly over it; None: that of the run.

    Raises:
        UserError: there are none.
    """
    data = run.recipe.data
    if folder is None and data.kind != "task":
        raise UserError(
            f"{run.path} was not trained on tasks; name questions with --prompt, or the data "
            "folder of tasks with --tasks"
        )
    file = ExampleFile.open(folder or data.dir, "val")
    if file.kind != "task":
        raise UserError(f"{file.folder} holds examples of kind {file.kind}, not of tasks")
    count = min(LIMIT, file.n_examples)
    return [file.key(i * file.n_examples // count) for i in range(count)]


def prompt_tasks(prompts: Sequence[str]) -> list[dict]:
    """Prompts as tasks without an answer key."""
    return [{"prompt": [{"role": "user", "content": p}], "plain": p} for p in prompts]


def describe_best_of(found: BestOf, shown: int) -> str:
    """A table, and below it the answers to some prompts."""
    lines = []
    for picked in found.picked[:shown]:
        lines += [f"\n{picked.prompt} ->", f"{picked.best}\n(reward {picked.best_reward:.3f})"]
    title = f"\n{found.reward}, {found.n} answers to each of {len(found.picked):,} prompts"
    left_out = f"; {found.not_scored:,} not scored" if found.not_scored else ""
    return "\n".join([*lines, title + left_out, format_table([COLUMNS, *found.rows()])])


def add_best_of(document: Document, measured: Sequence[BestOf]) -> None:
    """The gain, and some answers, as a section of a report."""
    for found in measured:
        document.heading(f"Best of {found.n} answers by {found.reward}")
        document.table(COLUMNS, found.rows())
        document.paragraph(
            f"Sampled at temperature {found.temperature:g}; the intervals are those of a mean over "
            f"prompts, {found.not_scored:,} of which are left out because they could not be scored."
        )
        for picked in found.picked[:SHOWN]:
            document.paragraph(
                f"After “{picked.prompt}”: the first answer (reward {picked.first_reward:.3f}), "
                f"then the best ({picked.best_reward:.3f})."
            )
            document.verbatim(picked.first)
            document.verbatim(picked.best)


def read_best_of(values: dict) -> BestOf:
    """What `dataclasses.asdict` made of one."""
    return BestOf(**{**values, "picked": [Picked(**picked) for picked in values["picked"]]})


def _row(name: str, values: np.ndarray) -> tuple[str, ...]:
    low, high = mean_interval(values.tolist())
    interval = "—" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
    return name, f"{len(values):,}", f"{values.mean():.3f}", interval
