"""Places for texts in one cache, and a step that reads ids of any of them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from generation.cache import Cache
from generation.cpu_decode import CpuDecodeStep
from model.llama import Llama


@dataclass
class Slot:
    """One place of the cache."""

    number: int
    ids: list[int] = field(default_factory=list)
    """whose keys and values stand at positions 0, 1, ...; kept for the next text when one ends"""
    taken: bool = False
    last_used: int = 0
    """when it was taken last, by a count of texts"""


@dataclass
class Rows:
    """What one step reads: an id a row, at a position of a slot."""

    slots: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    """the rows whose logits are asked for"""

    def add(self, slot: int, token: int, position: int, wanted: bool) -> None:
        """One more row."""
        if wanted:
            self.wanted.append(len(self.tokens))
        self.slots.append(slot)
        self.tokens.append(token)
        self.positions.append(position)


class Slots:
    """`n` places of `config.max_seq_len` positions each."""

    def __init__(self, network: Llama, n: int):
        self.cache = Cache(network.config, n, network.config.max_seq_len)
        self.step = CpuDecodeStep(network, self.cache)
        self.slots = [Slot(number) for number in range(n)]
        self.count = 0

    def clear(self) -> None:
        """Free all slots and forget what they hold."""
        for slot in self.slots:
            slot.ids, slot.taken = [], False

    def free(self) -> bool:
        """Whether a text can join."""
        return any(not slot.taken for slot in self.slots)

    def read(self, rows: Rows) -> np.ndarray:
        """Logits of the wanted rows, (W, V) float32.

        A row depends on its own text only, whatever stands beside it.
        """
        slots, tokens, positions = (
            np.array(numbers, np.int32) for numbers in (rows.slots, rows.tokens, rows.positions)
        )
        x = self.step.hidden(tokens, positions, self.cache.first_rows[slots])[rows.wanted]
        # The step has memory for the logits of so many rows, which the next call writes over.
        at_once = self.cache.batch
        parts = [self.step.head(x[i : i + at_once]).copy() for i in range(0, len(x), at_once)]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def cached(self, ids: Sequence[int]) -> tuple[int, Slot]:
        """The longest beginning of a text that a slot holds: its length, and the slot."""
        return max(
            ((common_prefix(slot.ids, ids), slot) for slot in self.slots),
            key=lambda found: (found[0], not found[1].taken),
        )

    def take(self, ids: Sequence[int], longest: int) -> tuple[Slot, int]:
        """A free slot for a text, and how many of its first ids (at most `longest`) it holds.

        What another slot holds is copied. A slot whose ids all begin the text is gone on with;
        else the one that has not been used for longest is cleared.
        """
        n, source = self.cached(ids)
        n = min(n, longest)
        if source.taken or len(source.ids) > n:
            free = [slot for slot in self.slots if not slot.taken]
            target = min(free, key=lambda slot: slot.last_used)
            if target is not source:
                self._copy(source, target, n)
        else:
            target = source
        self.count += 1
        target.ids, target.taken, target.last_used = list(ids[:n]), True, self.count
        return target, n

    def _copy(self, source: Slot, target: Slot, n: int) -> None:
        """Copy the keys and values of the first n positions of a slot to another."""
        first = self.cache.first_rows[:, :, None] + np.arange(n)
        for layer in self.step.layers:
            for cache in layer.cache:
                cache[first[target.number]] = cache[first[source.number]]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two texts begin with alike."""
    n = 0
    for x, y in zip(a, b):
        if x != y:
            break
        n += 1
    return n
