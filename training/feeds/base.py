"""What every feed is, and how its rows become the micro-batches of a rank."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from mindspore import Callback
from mindspore.dataset import GeneratorDataset

Row = tuple[np.ndarray, ...]


class Rows(ABC):
    """Numbered rows of held-out data, and what they stand for."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def row(self, index: int) -> Row:
        """The columns of a row."""

    @abstractmethod
    def padding(self) -> Row:
        """Columns of a row that counts nothing; it fills the last batch up."""

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text that a token of the denominator stands for; 0: not known."""
        return 0.0


class Feed(ABC):
    """Training rows in an order that is a pure function of the position, and held-out rows.

    A run is resumed by its position alone, and ranks share the rows of a step by it, so the row
    at a position must not depend on which rows were asked for before.
    """

    columns: tuple[str, ...]
    """names of what a row holds, in order"""
    fingerprint: str
    """changes when the data changes; a checkpoint keeps it"""
    epoch_tokens: int
    """tokens of one pass over the data"""
    held_out: Rows

    @abstractmethod
    def row(self, position: int) -> Row:
        """The columns of the row at a position; positions of all ranks are counted from 0."""

    @abstractmethod
    def description(self) -> str:
        """What the data is, for the log."""

    def hooks(self) -> list[Callback]:
        """What must run beside the steps, before all other hooks; most feeds need nothing."""
        return []


class RankRows:
    """The rows that one rank of `world` reads: a source for `GeneratorDataset`.

    Rank r takes positions start + r, start + r + world, ...: together the ranks read what one
    process would.
    """

    def __init__(self, feed: Feed, start: int, length: int, rank: int = 0, world: int = 1):
        """`start` counts positions of all ranks; `length` counts rows of this rank."""
        self.feed, self.start, self.length = feed, start, length
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        """Rows that this rank reads."""
        return self.length

    def __getitem__(self, index: int) -> Row:
        """Columns of one row."""
        return self.feed.row(self.start + int(index) * self.world + self.rank)


def batches(rows: RankRows, columns: Sequence[str], micro_batch: int) -> GeneratorDataset:
    """The rows in micro-batches, each column (micro_batch, ...)."""
    # One reading thread keeps the order; a row is a few KB from a memory map.
    dataset = GeneratorDataset(
        rows, list(columns), shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )
    return dataset.batch(micro_batch, drop_remainder=True)
