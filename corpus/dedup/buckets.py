"""Documents that share a key, found with bounded memory: keys are parted on disk, then sorted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpus.shuffle import hash64

RECORD = np.dtype([("key", np.uint64, 2), ("number", np.uint32)])
PART_RECORDS = 1 << 19
"""records sorted at once, 10 MB of them"""


class Buckets:
    """A bucket holds the documents that share a 128-bit key, in the order of their numbers.

    Each document of a bucket is paired with the first `limit` of it only. So a bucket of m
    documents gives at most m * limit pairs, and text that stands in a million documents does no
    harm. A pair that is lost in this way can still be found by another, smaller bucket.
    """

    def __init__(self, folder: Path, n_records: int, limit: int, part_records: int = PART_RECORDS):
        """Prepare for about `n_records` keys in all; `folder` is made and must not exist."""
        self.folder = folder
        self.limit = limit
        self.part_records = part_records
        self.n_parts = max(1, -(-n_records // part_records))
        folder.mkdir(parents=True)

    def add(self, keys: np.ndarray, numbers: np.ndarray) -> None:
        """Add keys (M, 2) uint64 of the documents `numbers` (M,), which never decrease."""
        records = np.empty(len(keys), RECORD)
        records["key"] = keys
        records["number"] = numbers
        parts = hash64(0, keys[:, 0], keys[:, 1]) % np.uint64(self.n_parts)
        order = np.argsort(parts, kind="stable")
        ends = np.cumsum(np.bincount(parts.astype(np.int64), minlength=self.n_parts))
        for part, chosen in enumerate(np.split(order, ends[:-1])):
            if len(chosen):
                with open(self.folder / f"{part}", "ab") as file:
                    file.write(records[chosen].tobytes())

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs of different documents (earlier, later), each array (P,) uint32."""
        for part in range(self.n_parts):
            path = self.folder / f"{part}"
            if path.exists():
                yield from self._pairs_of_part(path)

    def _pairs_of_part(self, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """A part larger than planned holds a huge bucket: take it in steps, keep the firsts."""
        firsts = np.empty(0, RECORD)
        with open(path, "rb") as file:
            while block := file.read(self.part_records * RECORD.itemsize):
                records = np.concatenate([firsts, np.frombuffer(block, RECORD)])
                keys = records["key"]
                order = np.lexsort((keys[:, 1], keys[:, 0]))
                keys, numbers, is_new = keys[order], records["number"][order], order >= len(firsts)
                begins = np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)]
                begin = np.maximum.accumulate(np.where(begins, np.arange(len(keys)), 0))
                rank = np.arange(len(keys)) - begin
                for place in range(min(self.limit, int(rank.max()))):
                    later = np.flatnonzero(is_new & (rank > place))
                    yield numbers[begin[later] + place], numbers[later]
                firsts = records[order[rank < self.limit]]
