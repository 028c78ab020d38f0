"""A set of pairs of document numbers that outgrows memory: sorted runs on disk, merged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.files import disk_errors

RUN_PAIRS = 1 << 21
"""pairs held in memory, 16 MB of them"""
SHIFT, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
LAST = np.iinfo(np.uint64).max


class SortedPairs:
    """Pairs (earlier, later) of numbers below 2**32, without repeats, in order of the later."""

    def __init__(self, folder: Path, run_pairs: int = RUN_PAIRS):
        """`folder` is made and must not exist."""
        self.folder = folder
        self.run_pairs = run_pairs
        self._pending: list[np.ndarray] = []
        self._n_pending = 0
        self._runs: list[Path] = []
        folder.mkdir(parents=True)

    def add(self, earlier: np.ndarray, later: np.ndarray) -> None:
        """Add pairs given as two arrays (P,) uint32."""
        self._pending.append(later.astype(np.uint64) << SHIFT | earlier)
        self._n_pending += len(later)
        if self._n_pending >= self.run_pairs:
            self._flush()

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The pairs, sorted by later and then by earlier, as arrays (earlier, later) of int64."""
        self._flush()
        step = max(1, self.run_pairs // (len(self._runs) or 1))
        done = [0] * len(self._runs)
        while True:
            heads = [self._read(run, n, step) for run, n in zip(self._runs, done)]
            # From runs that were not read to their end, nothing below the end of a head can follow.
            limit = min((head[-1] for head in heads if len(head) == step), default=LAST)
            heads = [head[: np.searchsorted(head, limit, "right")] for head in heads]
            done = [n + len(head) for n, head in zip(done, heads)]
            if not any(map(len, heads)):
                return
            merged = np.unique(np.concatenate(heads))
            earlier, later = merged & LOW, merged >> SHIFT
            yield earlier.astype(np.int64), later.astype(np.int64)

    @staticmethod
    def _read(run: Path, begin: int, count: int) -> np.ndarray:
        return np.fromfile(run, np.uint64, count, offset=begin * np.dtype(np.uint64).itemsize)

    def _flush(self) -> None:
        if not self._n_pending:
            return
        run = self.folder / f"{len(self._runs)}"
        with disk_errors(run):
            np.unique(np.concatenate(self._pending)).tofile(run)
        self._runs.append(run)
        self._pending, self._n_pending = [], 0
