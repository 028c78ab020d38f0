"""Near duplicates: candidates by bands of MinHash values, each checked on the texts themselves.

Bands: J. Leskovec, A. Rajaraman, J. Ullman, "Mining of Massive Datasets", chapter 3. Bands, then
spans of documents, are shared out over workers. The last step goes through the documents one by
one, in their order, and finds nearly all texts compared already: so the outcome is the same
whatever the number of workers.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.files import atomic_open
from corpus.dedup.buckets import Buckets
from corpus.dedup.documents import Documents
from corpus.dedup.outcomes import DedupCounts, Outcomes
from corpus.dedup.pairs import LOW, SHIFT, SortedPairs
from corpus.dedup.pieces import jaccard, normalised, pieces
from corpus.dedup.signatures import ABSENT, BANDS

BUCKET_LIMIT = 16
"""documents of a bucket that the later ones of it are compared with"""
MARGIN = 0.2
"""a pair is read again if its MinHash similarity is at most so far below the threshold; the \
estimate's standard error is 0.044 at most, so a true pair is passed over about once in 100,000"""
CACHED_PIECES = 1 << 19
"""pieces held in memory, about 80 MB of them"""
GROUP_BANDS = 4
GROUPS = BANDS // GROUP_BANDS
"""tasks that the bands are shared out over"""
SPAN_DOCUMENTS = 1 << 16
"""documents whose pairs one task compares"""
SLICE_DOCUMENTS = 1 << 11
"""of them at a time: at most 2**20 pairs"""
COMPARED = np.dtype([("pair", np.uint64), ("similarity", np.float64)])
"""a likely pair, as `SortedPairs` codes it; NaN where the texts were not compared"""


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


def write_pairs(documents: Documents, outcomes: Outcomes, group: int, output: Path) -> None:
    """Write the pairs that agree in all values of some band of a group, without those removed."""
    scratch = output.with_name(f"{output.name}.scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    bands = slice(group * GROUP_BANDS, (group + 1) * GROUP_BANDS)
    buckets = Buckets(scratch / "bands", GROUP_BANDS * len(documents), BUCKET_LIMIT)
    for numbers, keys in documents.band_keys():
        chosen = ~outcomes.is_removed(numbers) & (keys[:, 0, 0] != ABSENT << 32 | ABSENT)
        repeated = np.repeat(numbers[chosen], GROUP_BANDS)
        buckets.add(keys[chosen][:, bands].reshape(-1, 2), repeated)
    pairs = SortedPairs(scratch / "pairs")
    for earlier, later in buckets.pairs():
        pairs.add(earlier, later)
    with atomic_open(output) as file:
        for earlier, later in pairs.chunks():
            file.write((later.astype(np.uint64) << SHIFT | earlier.astype(np.uint64)).tobytes())
    shutil.rmtree(scratch)


def compare_pairs(
    documents: Documents,
    pair_files: Sequence[Path],
    span: tuple[int, int],
    threshold: float,
    output: Path,
) -> int:
    """Compare the texts of the pairs whose later document is in a span, from one to before another.

    Of each document the likely pairs are compared in their order, up to the first that is similar
    enough: as a rule that is all that will be asked for. Returns the number of candidates.
    """
    sets, n_candidates, blocks = PieceSets(documents), 0, [np.empty(0, COMPARED)]
    for first in range(*span, SLICE_DOCUMENTS):
        pairs = _pairs_between(pair_files, first, min(first + SLICE_DOCUMENTS, span[1]))
        n_candidates += len(pairs)
        likely = pairs[_similarities(documents, pairs) >= threshold - MARGIN]
        block = np.empty(len(likely), COMPARED)
        block["pair"], block["similarity"] = likely, np.nan
        found = -1
        for place, (earlier, later) in enumerate(_numbers(likely).tolist()):
            if later != found:
                similarity = jaccard(sets[earlier], sets[later])
                block["similarity"][place] = similarity
                found = later if similarity >= threshold else found
        blocks.append(block)
    with atomic_open(output) as file:
        np.save(file, np.concatenate(blocks))
    return n_candidates


def remove_near(
    documents: Documents,
    compared: Sequence[Path],
    threshold: float,
    outcomes: Outcomes,
    counts: DedupCounts,
) -> None:
    """Remove each document that shares `threshold` of its pieces with an earlier, kept one.

    Documents are judged in their order, and against kept ones only: if B repeats A, and C repeats
    B but not A, then C stays. The first that is similar enough is the one that C lost to.
    """
    sets = PieceSets(documents)
    for earlier, later, similarity in _compared(compared):
        if outcomes.is_removed(later) or outcomes.is_removed(earlier):
            continue
        counts.verified += 1
        if np.isnan(similarity):
            similarity = jaccard(sets[earlier], sets[later])
        if similarity >= threshold:
            outcomes.remove(later, earlier, similarity)
            counts.near += 1


def spans(n_documents: int) -> list[tuple[int, int]]:
    """Spans of documents that `compare_pairs` is shared out over."""
    begins = range(0, n_documents, SPAN_DOCUMENTS)
    return [(begin, min(begin + SPAN_DOCUMENTS, n_documents)) for begin in begins]


def _compared(files: Sequence[Path]) -> Iterator[tuple[int, int, float]]:
    for file in files:
        block = np.load(file)
        for begin in range(0, len(block), SLICE_DOCUMENTS):
            part = block[begin : begin + SLICE_DOCUMENTS]
            pairs = _numbers(part["pair"]).tolist()
            for (earlier, later), similarity in zip(pairs, part["similarity"].tolist()):
                yield earlier, later, similarity


def _pairs_between(files: Sequence[Path], first: int, end: int) -> np.ndarray:
    """Pairs (P,) uint64 of all files whose later document is one of `first` to `end` - 1."""
    limits = np.array([first, end], np.uint64) << SHIFT
    found = [np.empty(0, np.uint64)]
    for file in files:
        if file.stat().st_size:  # a file of no bytes cannot be mapped
            pairs = np.memmap(file, np.uint64, mode="r")
            begin, stop = np.searchsorted(pairs, limits)
            found.append(np.array(pairs[begin:stop]))
    return np.unique(np.concatenate(found))


def _similarities(documents: Documents, pairs: np.ndarray) -> np.ndarray:
    """Share of MinHash values that agree (P,), an estimate of the similarity."""
    shares = np.empty(len(pairs))
    for begin in range(0, len(pairs), 1 << 14):
        part = slice(begin, begin + (1 << 14))
        numbers, places = np.unique(_numbers(pairs[part]), return_inverse=True)
        rows = documents.minhashes(numbers)
        one, other = places.reshape(-1, 2).T
        shares[part] = (rows[one] == rows[other]).mean(axis=1)
    return shares


def _numbers(pairs: np.ndarray) -> np.ndarray:
    """The two documents (P, 2) int64 of coded pairs, the earlier first."""
    return np.stack([pairs & LOW, pairs >> SHIFT], axis=1).astype(np.int64)
