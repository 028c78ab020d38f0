"""Rows of pairs: chosen and rejected answers to the same prompts, in rows that alternate."""

import functools

import numpy as np

from chat.template import ChatTemplate
from common.errors import UserError
from common.intervals import wilson
from corpus.example_file import open_examples
from corpus.pair_rows import SIDES, PairRows
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer
from training.feeds.base import Feed
from training.feeds.references import reference_log_probs
from training.heldout import HeldOut, ObjectiveResult, Rows
from training.objectives.direct_preference import DirectPreference
from training.objectives.pair_reward import PairReward

COLUMNS = {"dpo": DirectPreference.columns, "reward": PairReward.columns}


class PairResult(ObjectiveResult):
    """What an objective says of held-out pairs; `tokens` counts the pairs."""

    def describe(self) -> str:
        """Loss and measures in a line, the accuracy with its 95 % interval (Wilson)."""
        pairs, measures = self.tokens, dict(self.measures)
        accuracy = measures.pop("accuracy")
        low, high = wilson(round(accuracy * pairs), pairs)
        others = "".join(f"  {n.replace('_', ' ')} {v:.3f}" for n, v in measures.items())
        return (
            f"loss {self.loss:.4f}  accuracy {accuracy:.1%} ({100 * low:.1f} to "
            f"{100 * high:.1f}) of {pairs:,} pairs{others}"
        )


class HeldOutPairs(HeldOut):
    """Measures an objective on held-out pairs."""

    result = PairResult


class PairSides(Rows):
    """The double rows of pairs one side after the other: chosen, rejected, chosen, ...

    `log_probs` are those of the reference, (N, 2), where the columns include them.
    """

    group = SIDES

    def __init__(self, pairs: PairRows, columns: tuple[str, ...]):
        self.pairs, self.columns = pairs, columns
        self.log_probs: np.ndarray | None = None
        self.double_row = functools.lru_cache(maxsize=2)(self._double_row)

    def __len__(self):
        """Rows of the pairs that fit the context."""
        return SIDES * self.pairs.plan(0).n_rows

    def row(self, index):
        """Columns of a row."""
        double, side = divmod(index, SIDES)
        return tuple(self.double_row(double)[name][side] for name in self.columns)

    def padding(self):
        """A row without a pair."""
        return tuple(np.zeros_like(column) for column in self.row(0))

    def _double_row(self, position: int) -> dict[str, np.ndarray]:
        found = self.pairs.columns(position)
        if self.log_probs is not None:
            # Of the sides in turn; places without a pair have the number -1.
            own = np.stack([self.log_probs[found["numbers"][side], side] for side in range(SIDES)])
            found["reference_log_probs"] = np.where(found["present"] > 0, own, 0)
        return found


class PairFeed(Feed):
    """Whole pairs packed into double rows, epoch after epoch.

    Positions of all ranks count rows; a rank reads both rows of a pair, one after the other.
    """

    def __init__(self, recipe: Recipe, columns: tuple[str, ...], train: PairRows, val: PairRows):
        for pairs in (train, val):
            pairs.place(0)  # refuses a context that no pair fits
        self.recipe, self.columns, self.pad_id = recipe, columns, train.pad_id
        self.train, self.held_out = PairSides(train, columns), PairSides(val, columns)
        self.fingerprint = train.file.fingerprint
        self.epoch_tokens = len(self.train) * train.seq_len

    def attach(self, network, reference, world):
        """Look up what the reference says of all answers, or compute it once."""
        super().attach(network, reference, world)
        if reference is not None:
            sides = (self.train, self.held_out)
            files = [side.pairs.file for side in sides]
            found = reference_log_probs(self.recipe, files, reference, self.pad_id, world)
            for side, log_probs in zip(sides, found):
                side.log_probs = log_probs

    def row(self, position):
        """Columns of the row at a position."""
        ranks = self.world.size
        block, place = divmod(position, SIDES * ranks)
        side, rank = divmod(place, ranks)
        return self.train.row(SIDES * (block * ranks + rank) + side)

    def description(self):
        """How many pairs there are, and what is too long."""
        return f"{self.train.pairs.describe()}; held out: {self.held_out.pairs.describe()}"

    def held_out_measure(self, objective, batch, world):
        """Loss, accuracy and the other measures on held-out pairs."""
        return HeldOutPairs(objective, self.held_out, batch, world)


def pair_feed(recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate) -> PairFeed:
    """The feed of a recipe's pairs.

    Raises:
        UserError: the example files are missing, damaged, made with another tokenizer or template,
            no pair fits the context, or a micro-batch would part one.
    """
    if recipe.train.micro_batch % SIDES:
        raise UserError(
            f"train.micro_batch is {recipe.train.micro_batch}; for pairs it must be even, so that "
            "chosen and rejected answers stand in one micro-batch"
        )
    files = open_examples(recipe.data.dir, "pairs")
    for file in files:
        file.check(tokenizer, template)
    train, val = (
        PairRows(file, recipe.model.max_seq_len, tokenizer.eos_id, recipe.train.seed)
        for file in files
    )
    return PairFeed(recipe, COLUMNS[recipe.objective.kind], train, val)
