"""What every feed is, and how its rows become the micro-batches of a rank."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mindspore import Callback
from mindspore.dataset import GeneratorDataset

from model.llama import Llama
from training.heldout import HeldOut, HeldOutMeasure, Row, Rows
from training.initial import Reference
from training.objectives.base import Objective
from training.parallel import World


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
    reference: str | None = None
    """fingerprint of the reference model, once it is attached; a checkpoint keeps it"""

    def attach(self, network: Llama, reference: Reference | None, world: World) -> None:
        """Meet the network in training, its weights in place, before the first row is read.

        `reference` is the network as it was before, if the objective needs it. Data that stands
        in files has no use for them.
        """
        self.world, self.reference = world, reference and reference.fingerprint

    @abstractmethod
    def row(self, position: int) -> Row:
        """The columns of the row at a position; positions of all ranks are counted from 0."""

    @abstractmethod
    def description(self) -> str:
        """What the data is, for the log."""

    def hooks(self, start_step: int, max_steps: int) -> list[Callback]:
        """What must run between the steps, after all other hooks; most feeds need nothing."""
        return []

    def can_resume_from(self, step: int) -> bool:
        """Whether a run that is stopped after so many steps goes on as if it had not been."""
        return True

    def figures(self) -> dict[str, float]:
        """Numbers of the rows since the last call, for the record of a step; most have none."""
        return {}

    def close(self) -> None:  # noqa: B027 - in most feeds nobody waits
        """Training has ended, however it did: whoever waits for a row gets any."""

    def held_out_measure(self, objective: Objective, batch: int, world: World) -> HeldOutMeasure:
        """What measures the network on held-out data, `batch` rows at a time on each rank."""
        return HeldOut(objective, self.held_out, batch, world)


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
