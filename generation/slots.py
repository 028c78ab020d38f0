"""Places for texts in one cache: which are free, and what they hold of a text that comes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mindspore import dtype as mstype

from generation.slot_steps import CpuSlotStep, GraphSlotStep
from model.device import on_cpu
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


class Slots:
    """`n` places of `config.max_seq_len` positions each."""

    def __init__(self, network: Llama, n: int):
        fast = on_cpu() and network.compute_dtype != mstype.float16
        self.step = (CpuSlotStep if fast else GraphSlotStep)(network, n)
        self.slots = [Slot(number) for number in range(n)]
        self.count = 0

    def clear(self) -> None:
        """Free all slots and forget what they hold."""
        for slot in self.slots:
            slot.ids, slot.taken = [], False

    def free(self) -> bool:
        """Whether a text can join."""
        return any(not slot.taken for slot in self.slots)

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
                self.step.copy(source.number, target.number, n)
        else:
            target = source
        self.count += 1
        target.ids, target.taken, target.last_used = list(ids[:n]), True, self.count
        return target, n


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two texts begin with alike."""
    n = 0
    for x, y in zip(a, b):
        if x != y:
            break
        n += 1
    return n
