"""Whole examples packed into rows, in an order that is a pure function of (seed, epoch).

An epoch's examples are shuffled, and those of a window at a time are packed by best fit, the
longest first: each goes into the row that it leaves the least room in. So planning takes a few
bytes an example, and rows are nearly full. Sequences never share attention: each is a segment of
its own, as are the ids that fill a row. Rotary positions are relative and need no restart.
"""

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chat.template import ANSWER, CONTENT
from common.errors import UserError
from corpus.config import DataConfig
from corpus.example_file import ExampleFile
from corpus.shuffle import hash64

WINDOW = 1 << 13
"""Examples packed together; more fill rows no better."""
NAMED = 3
"""Examples that are named where some are too long."""
DELETE, REPEAT = 4, 5  # what a hash decides, beside the numbers of corpus.shuffle
COLUMNS = ["tokens", "targets", "loss_weight", "segment_ids"]


@dataclass(frozen=True)
class RowPlan:
    """Which examples stand in which row."""

    order: np.ndarray
    """numbers of examples, row after row"""
    starts: np.ndarray
    """(R + 1,) where each row begins in `order`, and the last ends"""
    too_long: np.ndarray
    """numbers of the examples that fit no row, ascending; they are left out"""
    fill: float
    """share of the ids of all rows that are not padding"""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.starts) - 1

    def row(self, index: int) -> np.ndarray:
        """Numbers of the examples of a row."""
        return self.order[self.starts[index] : self.starts[index + 1]]


def plan_rows(lengths: np.ndarray, row_len: int, seed: int, epoch: int) -> RowPlan:
    """Pack examples of `lengths` (N,) ids into rows of `row_len` ids; none is cut."""
    fits = lengths <= row_len
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    shuffled = shuffled[fits[shuffled]]
    rows: list[list[int]] = []
    for begin in range(0, len(shuffled), WINDOW):
        rows += _best_fit(shuffled[begin : begin + WINDOW], lengths, row_len)
    rows = [rows[index] for index in rng.permutation(len(rows))]
    starts = np.cumsum([0, *map(len, rows)])
    order = np.array([number for row in rows for number in row], np.int64)
    fill = float(lengths[order].sum()) / max(1, row_len * len(rows))
    return RowPlan(order, starts, np.flatnonzero(~fits), fill)


def _best_fit(numbers: np.ndarray, lengths: np.ndarray, row_len: int) -> list[list[int]]:
    """Rows of the examples `numbers`: best fit decreasing, equal lengths in the order given."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (room left, row), ascending
    for number in numbers[np.argsort(-lengths[numbers], kind="stable")].tolist():
        length = int(lengths[number])
        place = bisect.bisect_left(room, (length, -1))
        if place == len(room):
            rows.append([number])
            left, row = row_len - length, len(rows) - 1
        else:
            left, row = room.pop(place)
            rows[row].append(number)
            left -= length
        if left:
            bisect.insort(room, (left, row))
    return rows


def next_is(mask: np.ndarray) -> np.ndarray:
    """For each id of a sequence, (N,) float32, 1 where the next one is in the mask.

    After its last id stands another sequence, which it does not predict.
    """
    return np.append(mask[1:], False).astype(np.float32)


def lay_out(
    sequences: Iterable[tuple[np.ndarray, np.ndarray]], seq_len: int, pad_id: int
) -> tuple[np.ndarray, ...]:
    """Lay sequences of ids and weights, both (N,), side by side in a row.

    Returns tokens, targets, weight and segment_ids, each (T,); segments count the sequences from
    0, and what fills the row is one more. Of T + 1 ids the last is a target only.
    """
    ids = np.full(seq_len + 1, pad_id, np.int32)
    weight = np.zeros(seq_len + 1, np.float32)
    segments = np.zeros(seq_len + 1, np.int32)
    end = count = 0
    for found, own in sequences:
        begin, end = end, end + len(found)
        ids[begin:end], weight[begin:end], segments[begin:end] = found, own, count
        count += 1
    segments[end:] = count
    return ids[:-1], ids[1:], weight[:-1], segments[:-1]


@dataclass(frozen=True)
class Augmentation:
    """Noise in what is said to the model, never in its answers or in the template.

    Of the ids of the instructions, each mostly a character or two, a share is left out and a share
    said twice. Which, is decided by a hash of (seed, epoch, place in the file).
    """

    delete: float = 0.0
    repeat: float = 0.0

    @classmethod
    def of(cls, data: DataConfig) -> "Augmentation":
        """What a recipe asks for."""
        return cls(data.augment_delete, data.augment_repeat)

    def times(self, kinds: np.ndarray, begin: int, seed: int, epoch: int) -> np.ndarray:
        """How often each id is said, (N,) of 0, 1, 2; `begin` is the place of the first."""
        times = np.ones(len(kinds), np.int64)
        places = begin + np.arange(len(kinds))
        is_content = kinds == CONTENT
        for share, decision, value in ((self.repeat, REPEAT, 2), (self.delete, DELETE, 0)):
            if share:
                drawn = hash64(seed, places, decision, epoch) < np.uint64(share * 2.0**64)
                times[drawn & is_content] = value
        return times


def name_too_long(file: ExampleFile, numbers: np.ndarray) -> str:
    """The end of a sentence that counts the examples that are left out, and names some of them."""
    if not len(numbers):
        return ""
    lengths = file.lengths().max(axis=1)
    named = ", ".join(
        f"{number} of {file.source(number)} ({lengths[number]:,} ids)" for number in numbers[:NAMED]
    )
    return (
        f"; {len(numbers):,} examples are longer than the context and left out, such as number "
        f"{named}"
    )


class PackedRows:
    """Rows of epoch after epoch without a seam: position p names one row, whoever asks.

    A row is `tokens`, `targets`, `loss_weight` and `segment_ids`, each (T,). The weight of a
    target is 1 on an answer and its end. Segments count the sequences of a row from 0.
    """

    def __init__(
        self,
        file: ExampleFile,
        seq_len: int,
        pad_id: int,
        seed: int,
        augmentation: Augmentation = Augmentation(),
        source: int | None = None,
    ):
        """Rows of `seq_len` targets; what they lack is filled with `pad_id`.

        `source`: number of the only source whose examples are taken; None: all are.
        """
        self.file, self.seq_len, self.pad_id, self.seed = file, seq_len, pad_id, seed
        self.augmentation, self.source = augmentation, source
        self.row_len = seq_len + 1
        self._first_rows = [0]
        self._plan: tuple[int, RowPlan] | None = None

    def place(self, position: int) -> tuple[int, int]:
        """Epoch and row in it of a position.

        Raises:
            UserError: no example fits a row.
        """
        while position >= self._first_rows[-1]:
            epoch = len(self._first_rows) - 1
            n_rows = self.plan(epoch).n_rows
            if not n_rows:
                raise UserError(
                    f"no {self.file.split} example of {self.file.folder} fits a context of "
                    f"{self.seq_len} ids; raise model.max_seq_len"
                )
            self._first_rows.append(self._first_rows[-1] + n_rows)
        epoch = bisect.bisect_right(self._first_rows, position) - 1
        return epoch, position - self._first_rows[epoch]

    def plan(self, epoch: int) -> RowPlan:
        """The rows of an epoch; the last plan is kept."""
        if self._plan is None or self._plan[0] != epoch:
            lengths = self._lengths(epoch)
            if self.source is not None:
                # What is longer than a row is left out.
                others = self.file.source_numbers != self.source
                lengths = np.where(others, self.row_len + 1, lengths)
            plan = plan_rows(lengths, self.row_len, self.seed, epoch)
            self._plan = epoch, plan
        return self._plan[1]

    def describe(self, epoch: int = 0) -> str:
        """A sentence about the rows of an epoch, which names what is too long."""
        plan, total = self.plan(epoch), self.file.n_examples
        return (
            f"{total - len(plan.too_long):,} examples in {plan.n_rows:,} rows of {self.seq_len} "
            f"ids, {1 - plan.fill:.1%} padding{name_too_long(self.file, plan.too_long)}"
        )

    def row(self, position: int) -> tuple[np.ndarray, ...]:
        """tokens, targets, loss_weight and segment_ids of the row at a position."""
        epoch, index = self.place(position)
        sequences = []
        for number in self.plan(epoch).row(index).tolist():
            for ids, kinds in self.sequences(number, epoch):
                sequences.append((ids, next_is(kinds == ANSWER)))
        return lay_out(sequences, self.seq_len, self.pad_id)

    def sequences(self, number: int, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Ids and kinds of the sequences of an example, as this epoch says them."""
        found, offset = [], number * self.file.n_sequences
        for i, (ids, kinds) in enumerate(self.file.kinds(number)):
            begin = int(self.file.offsets[offset + i])
            times = self.augmentation.times(kinds, begin, self.seed, epoch)
            found.append((np.repeat(ids, times), np.repeat(kinds, times)))
        return found

    def _lengths(self, epoch: int) -> np.ndarray:
        """Ids of each example in an epoch, (N,)."""
        if self.augmentation == Augmentation():
            return self.file.lengths().sum(axis=1)
        n_sequences = self.file.n_sequences
        lengths = np.empty(self.file.n_examples, np.int64)
        for begin in range(0, len(lengths), WINDOW):
            end = min(begin + WINDOW, len(lengths))
            offsets = self.file.offsets[begin * n_sequences : end * n_sequences + 1 : n_sequences]
            times = self._times(int(offsets[0]), int(offsets[-1]), epoch)
            lengths[begin:end] = np.add.reduceat(times, offsets[:-1] - offsets[0])
        return lengths

    def _times(self, begin: int, end: int, epoch: int) -> np.ndarray:
        return self.augmentation.times(self.file.all_kinds(begin, end), begin, self.seed, epoch)
