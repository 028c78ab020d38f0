"""Near duplicates: candidates by bands of MinHash values, each checked on the texts themselves.

Bands: J. Leskovec, A. Rajaraman, J. Ullman, "Mining of Massive Datasets", chapter 3.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpus.dedup.buckets import Buckets
from corpus.dedup.documents import Documents
from corpus.dedup.outcomes import DedupCounts, Outcomes
from corpus.dedup.pairs import SortedPairs
from corpus.dedup.pieces import jaccard, normalised, pieces
from corpus.dedup.signatures import ABSENT, BANDS

BUCKET_LIMIT = 16
"""documents of a bucket that the later ones of it are compared with"""
MARGIN = 0.2
"""a pair is read again if its MinHash similarity is at most so far below the threshold; the \
estimate's standard error is 0.044 at most, so a true pair is passed over about once in 100,000"""
SLICE_PAIRS = 1 << 14
CACHED_PIECES = 1 << 19
"""pieces held in memory, about 80 MB of them"""


class PieceSets:
    """The pieces of documents, remembered until there are `CACHED_PIECES` of them."""

    def __init__(self, documents: Documents):
        """Start with nothing read."""
        self.documents = documents
        self._sets: dict[int, set[str]] = {}
        self._n_pieces = 0

    def __getitem__(self, number: int) -> set[str]:
        """The pieces of document `number`."""
        if number not in self._sets:
            if self._n_pieces > CACHED_PIECES:
                self._sets, self._n_pieces = {}, 0
            self._sets[number] = pieces(normalised(self.documents.text(number)))
            self._n_pieces += len(self._sets[number])
        return self._sets[number]


def find_candidates(documents: Documents, outcomes: Outcomes, scratch: Path) -> SortedPairs:
    """Pairs of documents that agree in all values of some band, without those removed."""
    buckets = Buckets(scratch / "bands", BANDS * len(documents), BUCKET_LIMIT)
    for numbers, keys in documents.band_keys():
        chosen = ~outcomes.is_removed(numbers) & (keys[:, 0, 0] != ABSENT << 32 | ABSENT)
        repeated = np.repeat(numbers[chosen], BANDS)
        buckets.add(keys[chosen].reshape(-1, 2), repeated)
    pairs = SortedPairs(scratch / "pairs")
    for earlier, later in buckets.pairs():
        pairs.add(earlier, later)
    return pairs


def remove_near(
    documents: Documents,
    candidates: SortedPairs,
    threshold: float,
    outcomes: Outcomes,
    counts: DedupCounts,
) -> None:
    """Remove each document that shares `threshold` of its pieces with an earlier, kept one.

    Documents are judged in their order, and against kept ones only: if B repeats A, and C repeats
    B but not A, then C stays. The first that is similar enough is the one that C lost to.
    """
    sets = PieceSets(documents)
    for earlier, later in _likely(documents, candidates, threshold - MARGIN, outcomes, counts):
        if outcomes.is_removed(later) or outcomes.is_removed(earlier):
            continue
        counts.verified += 1
        similarity = jaccard(sets[earlier], sets[later])
        if similarity >= threshold:
            outcomes.remove(later, earlier, similarity)
            counts.near += 1


def _likely(
    documents: Documents,
    candidates: SortedPairs,
    least: float,
    outcomes: Outcomes,
    counts: DedupCounts,
) -> Iterator[tuple[int, int]]:
    """Candidates of MinHash similarity `least` or more, but for those already decided."""
    for chunk in candidates.chunks():
        counts.candidates += len(chunk[0])
        for begin in range(0, len(chunk[0]), SLICE_PAIRS):
            pairs = np.stack([side[begin : begin + SLICE_PAIRS] for side in chunk])
            pairs = pairs[:, ~outcomes.is_removed(pairs).any(axis=0)]
            numbers, places = np.unique(pairs, return_inverse=True)
            rows = documents.minhashes(numbers)
            one, other = places.reshape(pairs.shape)
            yield from pairs[:, (rows[one] == rows[other]).mean(axis=1) >= least].T.tolist()
