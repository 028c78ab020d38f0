"""Pairs in rows: chosen answers in one row, the rejected ones to the same prompts in the next.

Several pairs stand side by side in such a double row, as many as fit: they are packed by the longer
of their two sequences. So rows have one shape, are nearly full, and no pair is parted.
"""

import numpy as np

from chat.template import ANSWER
from corpus.example_file import ExampleFile
from corpus.packed_rows import PackedRows, lay_out, name_too_long, next_is

SIDES = 2
"""Rows of a double row: chosen, rejected."""


class PairRows(PackedRows):
    """Double rows of epoch after epoch; each is a pure function of (seed, position)."""

    def __init__(self, file: ExampleFile, seq_len: int, pad_id: int, seed: int, source=None):
        """Rows of `seq_len` ids; `source`: number of the only source that is taken; None: all."""
        super().__init__(file, seq_len, pad_id, seed, source=source)
        self.row_len = seq_len  # its last id is an input too: a reward is read from it
        shortest = np.cumsum(np.sort(self._lengths(0)))
        self.slots = max(1, int(np.searchsorted(shortest, seq_len, side="right")))
        """P, the most pairs that a double row can hold"""

    def describe(self, epoch: int = 0) -> str:
        """A sentence about the rows of an epoch, which names what is too long."""
        plan = self.plan(epoch)
        return (
            f"{len(plan.order):,} pairs in {SIDES} x {plan.n_rows:,} rows of {self.seq_len} ids"
            f"{name_too_long(self.file, plan.too_long)}"
        )

    def columns(self, position: int) -> dict[str, np.ndarray]:
        """The columns of a double row, each with the chosen side first.

        `tokens`, `targets`, `loss_weight` (1 where the target is of the answer), `ends` (1 at the
        last id of a sequence) and `segment_ids`, which number the pairs, are (2, T); `present`,
        (2, P), is 1 for each pair there is, and `numbers`, (2, P), its number in the file or -1.
        """
        epoch, index = self.place(position)
        chosen = self.plan(epoch).row(index)
        sides: list[list] = [[], []]
        for number in chosen.tolist():
            for side, (ids, kinds) in zip(sides, self.sequences(number, epoch)):
                ends = np.zeros(len(ids), np.float32)
                ends[-1] = 1
                side.append((ids, next_is(kinds == ANSWER), ends))
        rows = []
        for side in sides:
            tokens, targets, weight, segments = self._laid(side, 1)
            rows.append((tokens, targets, weight, self._laid(side, 2)[2], segments))
        names = ("tokens", "targets", "loss_weight", "ends", "segment_ids")
        found = {name: np.stack(both) for name, both in zip(names, zip(*rows))}
        numbers = np.full(self.slots, -1, np.int64)
        numbers[: len(chosen)] = chosen
        found["numbers"] = np.stack([numbers, numbers])
        found["present"] = (found["numbers"] >= 0).astype(np.float32)
        return found

    def _laid(self, side: list, weight: int) -> tuple[np.ndarray, ...]:
        sequences = ((sequence[0], sequence[weight]) for sequence in side)
        return lay_out(sequences, self.seq_len, self.pad_id)

    def _lengths(self, epoch: int) -> np.ndarray:
        """Ids of the longer sequence of each pair, (N,)."""
        return self.file.lengths().max(axis=1)
