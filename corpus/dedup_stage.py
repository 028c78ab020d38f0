"""The stages that find repeated documents: exact, pairs, compared, dedup; corpus/dedup/ does them.

All but the first and the last are shared out over workers; see corpus/dedup/near.py.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from corpus.dedup.documents import DedupShard
from corpus.dedup.find import compare, decide, find_exact, find_pairs
from corpus.dedup.near import GROUPS, spans
from corpus.dedup.outcomes import REMOVED_NAME
from corpus.workspace import Build


def remove_repeats(run: Build, shards: Sequence[Path], n_documents: int, n_bytes: int) -> Path:
    """The folder of the lists of repeated documents of all cleaned shards.

    Raises:
        UserError: there are more documents than can be numbered, or the disk is full.
    """
    work, threshold, shards = run.work, run.data.dedup_threshold, list(shards)
    folder = work.path("exact", "done")
    run.run("exact", [work.task("exact", "done", n_bytes, exact_repeats, shards, folder)])
    exact, compared, n_candidates = folder / REMOVED_NAME, [], 0
    if run.data.dedup == "near":
        pairs, tasks = [work.path("pairs", f"{group}") for group in range(GROUPS)], []
        for group, output in enumerate(pairs):
            arguments = (shards, exact, group, output)
            tasks.append(work.task("pairs", f"{group}", n_bytes // GROUPS, near_pairs, *arguments))
        run.run("pairs", tasks)
        tasks, size = [], n_bytes // max(1, n_documents)
        for span in spans(n_documents):
            name = f"{span[0]:010d}"
            compared.append(work.path("compared", name))
            arguments = (shards, pairs, span, threshold, compared[-1])
            n_bytes_here = size * (span[1] - span[0])
            tasks.append(work.task("compared", name, n_bytes_here, compare_texts, *arguments))
        n_candidates = sum(result["candidates"] for result in run.run("compared", tasks))
    folder = work.path("dedup", "")
    arguments = (shards, exact, compared, threshold, folder, n_candidates)
    (counts,) = run.run(
        "dedup", [work.task("dedup", "done", n_bytes, remove_duplicates, *arguments)]
    )
    assert counts["documents"] == n_documents, "documents cleaned and compared differ"
    if compared:
        work.replace("pairs", "compared")
        work.replace("compared", "dedup")
    return folder


def exact_repeats(shards: Sequence[Path], folder: Path) -> dict[str, Any]:
    """List the documents that equal an earlier one; see `find_exact`."""
    find_exact(_signed(shards), folder)
    return {}


def near_pairs(shards: Sequence[Path], exact: Path, group: int, output: Path) -> dict[str, Any]:
    """List the pairs that a group of bands shows; see `find_pairs`."""
    find_pairs(_signed(shards), exact, group, output)
    return {}


def compare_texts(
    shards: Sequence[Path],
    pairs: Sequence[Path],
    span: tuple[int, int],
    threshold: float,
    output: Path,
) -> dict[str, Any]:
    """Compare the pairs of a span of documents; see `compare`."""
    return {"candidates": compare(_signed(shards), pairs, span, threshold, output)}


def remove_duplicates(
    shards: Sequence[Path],
    exact: Path,
    compared: Sequence[Path],
    threshold: float,
    folder: Path,
    n_candidates: int,
) -> dict[str, Any]:
    """List the documents that go; see `decide`. `n_candidates` is for the record."""
    counts = decide(_signed(shards), exact, compared, threshold, folder)
    return asdict(replace(counts, candidates=n_candidates))


def _signed(shards: Sequence[Path]) -> list[DedupShard]:
    """The shards with the signatures that stand beside them."""
    return [DedupShard(path, path) for path in shards]
