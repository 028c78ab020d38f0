"""What became of each document, and the list of those that lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import PathLike, atomic_open
from corpus.dedup.signatures import write_header

REMOVED_NAME = "removed.npy"
REMOVAL = np.dtype([("document", np.uint32), ("kept", np.uint32), ("similarity", np.float64)])
NONE = np.iinfo(np.uint32).max
MAX_DOCUMENTS = NONE
BLOCK = 1 << 20


@dataclass
class DedupCounts:
    """Documents met and removed, and pairs looked at on the way."""

    documents: int = 0
    exact: int = 0
    """removed: the normalised text is that of an earlier document"""
    near: int = 0
    """removed: shares at least the threshold of its pieces with a kept document"""
    candidates: int = 0
    """pairs that agree in a band"""
    verified: int = 0
    """pairs of them whose texts were read and compared"""


class Outcomes:
    """For each document the kept one that it lost to, if any: 12 bytes a document, mapped."""

    def __init__(self, folder: Path, n_documents: int):
        """Begin with all documents kept, in two files in `folder`."""
        self._kept = _new_mapped(folder / "kept.npy", n_documents, np.uint32, NONE)
        self._similarity = _new_mapped(folder / "similarity.npy", n_documents, np.float64, 0)

    def is_removed(self, numbers: int | np.ndarray) -> bool | np.ndarray:
        """Whether the documents have lost."""
        return self._kept[numbers] != NONE

    def remove(
        self, numbers: int | np.ndarray, kept: int | np.ndarray, similarity: float | np.ndarray
    ) -> None:
        """Note that the documents `numbers` lost to the documents `kept`."""
        self._kept[numbers] = kept
        self._similarity[numbers] = similarity

    def read(self, path: PathLike) -> int:
        """Take over a list of removals that `write` wrote; returns their number."""
        removals = np.load(path, mmap_mode="r")
        for begin in range(0, len(removals), BLOCK):
            block = np.array(removals[begin : begin + BLOCK])
            self.remove(block["document"], block["kept"], block["similarity"])
        return len(removals)

    def follow(self) -> None:
        """Let a document that lost to one that was then removed lose to the same as that one."""
        for begin in range(0, len(self._kept), BLOCK):
            kept = self._kept[begin : begin + BLOCK]
            numbers = np.flatnonzero(kept != NONE)
            numbers = numbers[self.is_removed(kept[numbers])]
            middle = kept[numbers]
            self._similarity[begin + numbers] = self._similarity[middle]
            kept[numbers] = self._kept[middle]

    def write(self, path: PathLike) -> None:
        """Write the removals, an array of `REMOVAL` in order of the document, atomically."""
        count = sum(len(block) for block in self.removals())
        with atomic_open(path) as file:
            write_header(file, REMOVAL, (count,))
            for block in self.removals():
                file.write(block.tobytes())

    def removals(self) -> Iterator[np.ndarray]:
        """The removals in blocks, arrays of `REMOVAL`, in order of the document."""
        for begin in range(0, len(self._kept), BLOCK):
            numbers = begin + np.flatnonzero(self._kept[begin : begin + BLOCK] != NONE)
            block = np.empty(len(numbers), REMOVAL)
            block["document"] = numbers
            block["kept"] = self._kept[numbers]
            block["similarity"] = self._similarity[numbers]
            yield block


def kept_documents(folder: PathLike, begin: int, end: int) -> np.ndarray:
    """Which documents of `begin` to `end` - 1 stay, as the list in `folder` says: (M,) bool."""
    removed = np.load(Path(folder) / REMOVED_NAME, mmap_mode="r")["document"]
    first, last = np.searchsorted(removed, [begin, end])
    kept = np.ones(end - begin, bool)
    kept[removed[first:last] - begin] = False
    return kept


def _new_mapped(path: Path, count: int, dtype: type, value: int) -> np.ndarray:
    # Written before it is mapped: on a full disk a write fails, but a mapped page kills.
    with open(path, "wb") as file:
        write_header(file, np.dtype(dtype), (count,))
        for begin in range(0, count, BLOCK):
            file.write(np.full(min(BLOCK, count - begin), value, dtype).tobytes())
    return np.asarray(np.load(path, mmap_mode="r+"))
