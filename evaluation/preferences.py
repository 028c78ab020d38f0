"""Which of two held-out answers a model prefers: a reward model, or one that DPO trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chat.template import ANSWER, ChatTemplate
from common.intervals import wilson
from corpus.example_file import ExampleFile, open_examples
from model.llama import Llama
from rewards.model import RewardModel
from runs.run import Run
from training.feeds.references import answer_log_probs, read_tables, reference_path
from training.feeds.scorer import TargetLogProbs

EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Of the groups of pairs in a calibration table."""


@dataclass(frozen=True)
class PairScore:
    """How often the chosen answer is the preferred one."""

    source: str
    right: int
    pairs: int
    margin: float
    """mean of what the chosen answer's reward exceeds the other's by"""

    def __str__(self) -> str:
        """Accuracy and its 95 % interval (Wilson)."""
        return rate(self.right, self.pairs)


@dataclass(frozen=True)
class Calibration:
    """Pairs about whose better answer a model is about equally sure."""

    low: float
    high: float
    """its probability lies from `low` to `high`"""
    stated: float
    """mean of its probability"""
    right: int
    pairs: int


def measure_pairs(run: Run, network: Llama) -> tuple[list[PairScore], list[Calibration]]:
    """Accuracy on the held-out pairs by source; and the calibration of a reward model.

    Pairs that do not fit the context are left out. Of DPO, nothing is measured where what its
    reference says of the pairs is gone.

    Raises:
        UserError: the example files are missing, damaged, or were made for another run.
    """
    files, tokenizer = open_examples(run.recipe.data.dir, "pairs"), run.tokenizer()
    for file in files:
        file.check(tokenizer, ChatTemplate.load(run.path, tokenizer))
    is_reward = run.recipe.objective.kind == "reward"
    margins = reward_margins(run, files[1]) if is_reward else dpo_margins(run, network, files)
    if margins is None:
        return [], []
    numbers, known = files[1].source_numbers, ~np.isnan(margins)
    scores = [
        _score(source.name, margins[known & (numbers == number)])
        for number, source in enumerate(files[1].manifest.sources)
        if (known & (numbers == number)).any()
    ]
    if len(scores) > 1:
        scores.append(_score("all", margins[known]))
    return scores, calibrate(margins[known]) if is_reward else []


def reward_margins(run: Run, file: ExampleFile) -> np.ndarray:
    """Rewards of the chosen answers less those of the rejected ones, (N,)."""
    sequences = [ids for number in range(file.n_examples) for ids, _ in file.kinds(number)]
    rewards = RewardModel(run).score_ids(sequences).reshape(-1, 2)
    return rewards[:, 0] - rewards[:, 1]


def dpo_margins(run: Run, network: Llama, files: Sequence[ExampleFile]) -> np.ndarray | None:
    """beta times the difference of the log-ratios of both answers, (N,), as the loss has it."""
    recipe, state = run.recipe, run.chosen_checkpoint.state()
    path = reference_path(files, state["reference"], recipe.model)
    if not path.is_file():
        print(f"pairs: {path} is missing, so preferences are not measured", flush=True)
        return None
    cell, pad_id = TargetLogProbs(network), run.tokenizer().eos_id
    found = answer_log_probs(
        cell, files[1], recipe.model.max_seq_len, pad_id, recipe.train.micro_batch
    )
    ratio = found - read_tables(path, files)[1]
    if recipe.objective.length_normalised:
        kinds = (k for number in range(files[1].n_examples) for _, k in files[1].kinds(number))
        ratio = ratio / np.array([(k == ANSWER).sum() for k in kinds]).reshape(-1, 2)
    return recipe.objective.beta * (ratio[:, 0] - ratio[:, 1])


def calibrate(margins: np.ndarray) -> list[Calibration]:
    """How often a model is right where it is so sure: sigmoid(|margin|) is its probability."""
    stated = 1 / (1 + np.exp(-np.abs(margins.astype(np.float64))))
    found = []
    for low, high in zip(EDGES, EDGES[1:]):
        inside = (stated >= low) & ((stated < high) | (high == EDGES[-1]))
        if inside.any():
            right = int((margins[inside] > 0).sum())
            mean = float(stated[inside].mean())
            found.append(Calibration(low, high, mean, right, int(inside.sum())))
    return found


def pair_rows(scores: Sequence[PairScore]) -> list[list[str]]:
    """Rows of a table, with its head."""
    head = ["pairs", "number", "right", "mean margin"]
    return [head, *([s.source, f"{s.pairs:,}", str(s), f"{s.margin:.3f}"] for s in scores)]


def calibration_rows(found: Sequence[Calibration]) -> list[list[str]]:
    """Rows of a table, with its head."""
    head = ["stated probability", "pairs", "mean stated", "right"]
    return [
        head,
        *(
            [f"{c.low:g} to {c.high:g}", f"{c.pairs:,}", f"{c.stated:.1%}", rate(c.right, c.pairs)]
            for c in found
        ),
    ]


def rate(right: int, pairs: int) -> str:
    """A share and its 95 % interval (Wilson)."""
    low, high = wilson(right, pairs)
    return f"{right / pairs:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def _score(source: str, margins: np.ndarray) -> PairScore:
    return PairScore(source, int((margins > 0).sum()), len(margins), float(margins.mean()))
