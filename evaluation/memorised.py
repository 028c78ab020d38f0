"""What a model copied: the longest span of ids that also stands in the training file.

The file is scanned from end to end with bounded memory. A hash of every window of SEED ids finds
the places where a span may begin; from there on ids are compared, so a find is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.token_file import TokenFile

SEED = 4
"""Shorter spans are not looked for: any text shares them with any other."""
CHUNK = 1 << 21
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no id is lost when hashes wrap at 2^64."""


@dataclass(frozen=True)
class Span:
    """Ids [begin, end) of a text that also stand at `position` of the file; maybe none."""

    begin: int = 0
    end: int = 0
    position: int = -1

    def __len__(self) -> int:
        """Number of ids."""
        return self.end - self.begin


def longest_shared_spans(texts: Sequence[Sequence[int]], file: TokenFile) -> list[Span]:
    """For each text the longest span of at least SEED ids that the file holds too."""
    longest = max(map(len, texts), default=0)
    if longest < SEED:
        return [Span() for _ in texts]
    table = np.full((len(texts), longest + 1), -1, np.int64)
    for row, ids in zip(table, texts):
        row[: len(ids)] = ids
    # One column more than the longest text: no id equals -1, so every comparison ends.
    places = [(t, i) for t, ids in enumerate(texts) for i in range(len(ids) - SEED + 1)]
    rows, begins = np.array(places).T
    keys = _hashes(table)[rows, begins]
    order = np.argsort(keys, kind="stable")
    rows, begins, keys = rows[order], begins[order], keys[order]
    best = [Span() for _ in texts]
    for start in range(0, file.n_tokens, CHUNK):
        ids = file.read(start, start + CHUNK + longest).astype(np.int64)
        hits, which = _matches(_hashes(ids)[:CHUNK], keys)
        lengths = _extend(ids, hits, table, rows[which], begins[which])
        for text in np.unique(rows[which]):
            mine = np.flatnonzero(rows[which] == text)
            hit = mine[np.argmax(lengths[mine])]
            if lengths[hit] > max(len(best[text]), SEED - 1):
                begin = int(begins[which[hit]])
                best[text] = Span(begin, begin + int(lengths[hit]), start + int(hits[hit]))
    return best


def _hashes(ids: np.ndarray) -> np.ndarray:
    """Of each window of SEED ids along the last axis; none where the axis is shorter."""
    n = max(0, ids.shape[-1] - SEED + 1)
    total = np.zeros((*ids.shape[:-1], n), np.uint64)
    for i in range(SEED):
        total = total * FACTOR + ids[..., i : i + n].astype(np.uint64)
    return total


def _matches(hashes: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of places (in hashes, in the sorted keys) that hold the same value."""
    first = np.searchsorted(keys, hashes, "left")
    counts = np.searchsorted(keys, hashes, "right") - first
    hits = np.repeat(np.arange(len(hashes)), counts)
    within = np.arange(len(hits)) - np.repeat(np.cumsum(counts) - counts, counts)
    return hits, np.repeat(first, counts) + within


def _extend(
    ids: np.ndarray, hits: np.ndarray, table: np.ndarray, rows: np.ndarray, begins: np.ndarray
) -> np.ndarray:
    """How many ids agree from each pair of places on: ids[hit + n] == table[row, begin + n]."""
    lengths = np.zeros(len(hits), np.int64)
    alive, n = np.arange(len(hits)), 0
    while len(alive):
        alive = alive[hits[alive] + n < len(ids)]
        same = ids[hits[alive] + n] == table[rows[alive], begins[alive] + n]
        alive = alive[same]
        n += 1
        lengths[alive] = n
    return lengths
