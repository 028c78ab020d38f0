"""Find the documents that repeat earlier ones, over all shards of a corpus.

Memory is about 250 MB, whatever the size of the corpus; what is larger goes through files in
`folder`. docs/deduplication.md tells how much.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from common.errors import UserError
from common.files import PathLike, disk_errors
from corpus.dedup.buckets import Buckets
from corpus.dedup.documents import DedupShard, Documents
from corpus.dedup.near import find_candidates, remove_near
from corpus.dedup.outcomes import MAX_DOCUMENTS, REMOVED_NAME, DedupCounts, Outcomes
from corpus.dedup.report import REPORT_NAME, write_report


def find_duplicates(
    shards: Sequence[DedupShard],
    mode: Literal["exact", "near"],
    threshold: float,
    folder: PathLike,
) -> DedupCounts:
    """Write `removed.npy` and, for people, `duplicates.jsonl` into `folder`.

    The outcome depends on the texts and their order alone, not on how they are cut into shards.

    Args:
        shards: texts and signatures, in the order that decides which document is first and stays.
        mode: remove documents of the same normalised text (exact), and then also those that share
            pieces with an earlier one (near), which needs MinHash signatures.
        threshold: near: least Jaccard similarity, in (0, 1].
        folder: where the lists go; working files stand in `folder`/scratch meanwhile.

    Raises:
        UserError: signatures are missing or damaged, there are 2**32 - 1 documents or more, or
            the disk is full.
    """
    folder = Path(folder)
    scratch = folder / "scratch"
    documents = Documents(shards)
    if len(documents) >= MAX_DOCUMENTS:
        raise UserError(
            f"{len(documents):,} documents are more than deduplication can number; part the "
            "corpus into recipes of fewer than 4 billion documents, or set data.dedup to none"
        )
    counts = DedupCounts(len(documents))
    with disk_errors(folder):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        outcomes = Outcomes(scratch, len(documents))
        _remove_exact(documents, outcomes, scratch, counts)
        if mode == "near":
            candidates = find_candidates(documents, outcomes, scratch)
            remove_near(documents, candidates, threshold, outcomes, counts)
            outcomes.follow()
        outcomes.write(folder / REMOVED_NAME)
        write_report(folder / REPORT_NAME, documents, outcomes)
        shutil.rmtree(scratch)
    return counts


def _remove_exact(
    documents: Documents, outcomes: Outcomes, scratch: Path, counts: DedupCounts
) -> None:
    buckets = Buckets(scratch / "hashes", len(documents), limit=1)
    for numbers, hashes in documents.hashes():
        buckets.add(hashes, numbers)
    for earlier, later in buckets.pairs():
        outcomes.remove(later, earlier, 1.0)
        counts.exact += len(later)
