"""Which text is held out: whole documents by a hash, and the end of a very long one."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

LONG_SHARE = 0.1
"""A document of more than this share of a corpus is cut in two, so that it is in both files."""
# Where text may be cut, the best place first: ends of paragraphs, of sentences, of words.
BREAKS = ("\n", "。", "！", "？", ". ", " ")


def is_held_out(content: bytes, val_fraction: float) -> bool:
    """Whether content belongs to validation: decided by a hash of it alone.

    Equal contents fall on the same side, whatever else the corpus holds.
    """
    return _content_hash(content) < _limit(val_fraction)


@dataclass(frozen=True)
class Split:
    """How documents are parted between training and validation."""

    val_fraction: float
    long_bytes: int
    """a document of more bytes is long"""

    @classmethod
    def of(cls, val_fraction: float, n_bytes: int) -> "Split":
        """The rule for a corpus of so many bytes."""
        return cls(val_fraction, int(LONG_SHARE * n_bytes))

    def is_held_out(self, content: bytes) -> bool:
        """Whether a whole document, given as its bytes, is held out."""
        return is_held_out(content, self.val_fraction)

    def parts(self, content: bytes) -> list[tuple[bytes, bool]]:
        """A document, given as UTF-8, in one part or two, each with whether it is held out.

        The end of a long document is held out, from the end of that paragraph on that comes next
        to the wanted share; without paragraphs, from a sentence or a word on.
        """
        if len(content) > self.long_bytes:
            target = round(len(content) * (1 - self.val_fraction))
            for mark in map(str.encode, BREAKS):
                found = content.rfind(mark, 0, target), content.find(mark, target)
                ends = [at + len(mark) for at in found if at >= 0]
                if end := self._nearest(ends, target, len(content)):
                    head, tail = content[:end].strip(), content[end:].strip()
                    return [(head, False), (tail, True)]
        return [(content, self.is_held_out(content))]

    def parts_of_ids(self, ids: np.ndarray, break_id: int) -> list[tuple[np.ndarray, bool]]:
        """As `parts`, for a document of ids (N,); `break_id` ends a paragraph."""
        if ids.nbytes > self.long_bytes:
            target = round(len(ids) * (1 - self.val_fraction))
            for ends in (np.flatnonzero(ids == break_id) + 1, [target]):
                if end := self._nearest(ends, target, len(ids)):
                    return [(ids[:end], False), (ids[end:], True)]
        return [(ids, self.is_held_out(ids.tobytes()))]

    def _nearest(self, ends: list[int] | np.ndarray, target: int, length: int) -> int:
        """The place to cut at; 0 if each would leave too little for training."""
        least = length * (1 - max(2 * self.val_fraction, 0.5))
        within = [int(end) for end in ends if max(1, least) <= end < length]
        return min(within, key=lambda end: abs(end - target), default=0)


def _content_hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).digest()


def _limit(val_fraction: float) -> bytes:
    """What the hash of a document that is held out is below, taken as a number."""
    return math.ceil(val_fraction * 2.0**64).to_bytes(8, "big")
