"""Deduplication of real text with known near-duplicates in it: what is found, and how fast."""

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.data_injected import KINDS, Injected, inject
from benchmarks.real_text import docstrings, people_daily, reviews
from corpus.dedup.documents import DedupShard
from corpus.dedup.find import find_duplicates
from corpus.dedup.outcomes import REMOVED_NAME
from corpus.dedup.pieces import PIECE_CHARS, jaccard, normalised, pieces
from corpus.dedup.signatures import BANDS, ROWS, sign_shard
from corpus.ragged import write_texts

MIN_CHARS = 100
SHARD_DOCUMENTS = 5_000


def real_documents(count: int) -> list[str]:
    """`count` different documents of 100 characters or more: all news and reviews, and docstrings.

    The same ones each time.
    """
    chosen: list[str] = []
    for source in (people_daily, reviews, docstrings):
        documents = [text for text in dict.fromkeys(source()) if len(text) >= MIN_CHARS]
        left = count - len(chosen)
        chosen += random.Random(0).sample(documents, left) if len(documents) > left else documents
    return chosen


def run_dedup(rounds: int, n_documents: int = 20_000, n_copies: int = 2_000) -> None:
    """Print the recall of each kind of change, what was verified, and times in interleaved rounds.

    Both sides make 128 MinHash values of character 5-grams, 32 bands of 4, in one process.
    datasketch names candidates and stops there; our time includes reading and comparing texts.
    """
    documents, injected = inject(real_documents(n_documents), n_copies)
    print(
        f"{n_documents:,} real documents and {n_copies:,} changed copies, "
        f"{sum(map(len, documents)) / 1e6:.1f} M characters, threshold 0.6"
    )
    ours, theirs = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            removed = find_ours(documents, Path(folder), 0.6)
            ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        named = find_datasketch(documents)
        theirs.append(time.perf_counter() - started)
    print_recall("ours", injected, set(removed["document"].tolist()))
    print_recall("datasketch", injected, named)
    print(f"  {n_false(documents, removed, 0.6)} of {len(removed):,} removals below the threshold")
    ratio = median(their / our for our, their in zip(ours, theirs))
    print(
        f"  ours {median(ours):.1f} s, datasketch {median(theirs):.1f} s without comparing texts: "
        f"ours is {ratio:.1f} times as fast, median of {rounds} rounds"
    )


def find_ours(documents: Sequence[str], folder: Path, threshold: float) -> np.ndarray:
    """The removals that the data step would make, from texts to the list."""
    shards = []
    for begin in range(0, len(documents), SHARD_DOCUMENTS):
        shard = DedupShard(folder / f"texts-{begin}", folder / f"signatures-{begin}")
        write_texts(shard.texts, documents[begin : begin + SHARD_DOCUMENTS])
        sign_shard(shard.texts, shard.signatures, near=True)
        shards.append(shard)
    find_duplicates(shards, "near", threshold, folder)
    return np.load(folder / REMOVED_NAME)


def find_datasketch(documents: Sequence[str]) -> set[int]:
    """Documents that share a band with an earlier one, by datasketch."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    named = set()
    for number, text in enumerate(documents):
        text = normalised(text)
        minhash = MinHash(num_perm=BANDS * ROWS)
        ends = range(PIECE_CHARS, len(text) + 1)
        minhash.update_batch([text[end - PIECE_CHARS : end].encode("utf-8") for end in ends])
        if index.query(minhash):
            named.add(number)
        else:
            index.insert(number, minhash)
    return named


def recall(injected: Sequence[Injected], removed: set[int]) -> dict[str, float]:
    """Of each kind, the share of pairs of which not both documents are kept."""
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for pair in injected:
        found[pair.kind].append(pair.original in removed or pair.copy in removed)
    return {kind: sum(hits) / len(hits) for kind, hits in found.items()}


def n_false(documents: Sequence[str], removed: np.ndarray, threshold: float) -> int:
    """Removals whose texts are less similar than the threshold, or that lost to a removed one."""
    gone = set(removed["document"].tolist())
    sets = {n: pieces(normalised(documents[n])) for pair in removed.tolist() for n in pair[:2]}
    return sum(
        kept in gone or kept >= document or jaccard(sets[document], sets[kept]) < threshold
        for document, kept, _ in removed.tolist()
    )


def print_recall(name: str, injected: Sequence[Injected], removed: set[int]) -> None:
    """One line: recall of each kind and the number of documents removed."""
    shares = ", ".join(f"{kind} {share:.3f}" for kind, share in recall(injected, removed).items())
    print(f"  {name:10s} recall: {shares}; {len(removed):,} removed")
