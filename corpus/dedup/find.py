"""Find the documents that repeat earlier ones, over all shards of a corpus.

Memory is about 250 MB, whatever the size of the corpus; what is larger goes through files in
`folder`. docs/deduplication.md says how much.
"""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from common.errors import UserError
from common.files import PathLike, disk_errors
from corpus.dedup.buckets import Buckets
from corpus.dedup.documents import DedupShard, Documents
from corpus.dedup.near import GROUPS, compare_pairs, remove_near, spans, write_pairs
from corpus.dedup.outcomes import MAX_DOCUMENTS, REMOVED_NAME, DedupCounts, Outcomes
from corpus.dedup.report import REPORT_NAME, write_report


def find_duplicates(
    shards: Sequence[DedupShard],
    mode: Literal["exact", "near"],
    threshold: float,
    folder: PathLike,
) -> DedupCounts:
    """Write `removed.npy` and, for people, `duplicates.jsonl` into `folder`.

    The outcome depends on the texts and their order alone, not on how they are cut into shards,
    nor on who does the steps, of which this does one after the other.

    Args:
        shards: texts and signatures, in the order that decides which document is first and stays.
        mode: remove documents of the same normalised text (exact), and then also those that share
            pieces with an earlier one (near), which needs MinHash signatures.
        threshold: near: least Jaccard similarity, in (0, 1].
        folder: where the lists go; working files stand in `folder`/steps meanwhile.

    Raises:
        UserError: signatures are missing or damaged, there are 2**32 - 1 documents or more, or
            the disk is full.
    """
    steps = Path(folder) / "steps"
    shutil.rmtree(steps, ignore_errors=True)
    exact = find_exact(shards, steps / "exact")
    compared: list[Path] = []
    n_candidates = 0
    if mode == "near":
        pairs = [steps / "pairs" / f"{group}" for group in range(GROUPS)]
        for group, output in enumerate(pairs):
            find_pairs(shards, exact, group, output)
        for span in spans(len(Documents(shards))):
            compared.append(steps / "compared" / f"{span[0]}")
            n_candidates += compare(shards, pairs, span, threshold, compared[-1])
    counts = decide(shards, exact, compared, threshold, folder)
    counts.candidates = n_candidates
    shutil.rmtree(steps)
    return counts


def find_exact(shards: Sequence[DedupShard], folder: Path) -> Path:
    """First step: the list, in `folder`, of documents whose text repeats that of an earlier one."""
    documents = _documents(shards)
    with _scratch(folder) as scratch:
        outcomes = Outcomes(scratch, len(documents))
        buckets = Buckets(scratch / "hashes", len(documents), limit=1)
        for numbers, hashes in documents.hashes():
            buckets.add(hashes, numbers)
        for earlier, later in buckets.pairs():
            outcomes.remove(later, earlier, 1.0)
        outcomes.write(folder / REMOVED_NAME)
    return folder / REMOVED_NAME


def find_pairs(shards: Sequence[DedupShard], exact: Path, group: int, output: Path) -> None:
    """Second step, once for each of the `GROUPS` groups of bands: pairs that may be near."""
    documents = _documents(shards)
    with _scratch(output) as scratch:
        outcomes = Outcomes(scratch, len(documents))
        outcomes.read(exact)
        write_pairs(documents, outcomes, group, output)


def compare(
    shards: Sequence[DedupShard],
    pairs: Sequence[Path],
    span: tuple[int, int],
    threshold: float,
    output: Path,
) -> int:
    """Third step, once for each of the `spans`: the texts of pairs compared; see near.py."""
    with disk_errors(output):
        return compare_pairs(_documents(shards), pairs, span, threshold, output)


def decide(
    shards: Sequence[DedupShard],
    exact: Path,
    compared: Sequence[Path],
    threshold: float,
    folder: PathLike,
) -> DedupCounts:
    """Last step: who stays. Writes the two lists into `folder`."""
    folder, documents = Path(folder), _documents(shards)
    counts = DedupCounts(len(documents))
    with _scratch(folder / "decided") as scratch:
        outcomes = Outcomes(scratch, len(documents))
        counts.exact = outcomes.read(exact)
        remove_near(documents, compared, threshold, outcomes, counts)
        outcomes.follow()
        outcomes.write(folder / REMOVED_NAME)
        write_report(folder / REPORT_NAME, documents, outcomes)
    return counts


def _documents(shards: Sequence[DedupShard]) -> Documents:
    documents = Documents(shards)
    if len(documents) >= MAX_DOCUMENTS:
        raise UserError(
            f"{len(documents):,} documents are more than deduplication can number; split the "
            "corpus into recipes of fewer than 4 billion documents, or set data.dedup to none"
        )
    return documents


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """A new folder beside `output` for working files, deleted at the end."""
    scratch = output.with_name(f"{output.name}-scratch")
    with disk_errors(scratch):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
        shutil.rmtree(scratch)
