"""What the data step reports: tables of the sources, of their mixture, and of the cleaning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import atomic_open, write_json
from common.tables import format_table
from corpus.cleaning.report import CleaningReport, RuleCounts
from corpus.config import DataConfig
from corpus.manifest import Manifest, SourceCounts

HEADER = (
    "source",
    "documents",
    "held out",
    "characters",
    "tokens",
    "bytes/token",
    "unknown",
    "skipped",
    "damaged",
    "read",
    "cleaned",
    "unique",
)
MIXTURE_HEADER = ("training split", "documents", "tokens", "weight", "weighted", "share")
FILTER_HEADER = ("data.filter", "documents", "dropped", "characters", "dropped")
# A validation file is noted that is so many times as large as wanted.
NOTED_RATIO = 2
CLEANING_NAME = "cleaning_report"


@dataclass(frozen=True)
class Report:
    """What the data step made, or found made already."""

    train: Manifest
    val: Manifest
    up_to_date: bool
    """nothing had changed, so nothing was done"""


def format_report(report: Report) -> str:
    """A line for each source and one for all: both files together, and the documents held out.

    The last columns: files damaged, documents read, and the shares of them that were left after
    cleaning and after deduplication.
    """
    both = [(a + b, b) for a, b in zip(report.train.sources, report.val.sources)]
    total = (
        sum((counts for counts, _ in both), SourceCounts("all")),
        sum((held_out for _, held_out in both), SourceCounts("held out")),
    )
    return format_table([HEADER, *(_row(*counts) for counts in [*both, total])])


def format_mixture(
    names: Sequence[str],
    weights: Sequence[float],
    unweighted: Sequence[SourceCounts],
    weighted: Sequence[SourceCounts],
) -> str:
    """What the weights make of the sources: tokens of each before and after, and its share."""
    total = sum(counts.tokens for counts in weighted)
    rows = [
        (
            name,
            f"{before.documents:,}",
            f"{before.tokens:,}",
            f"{weight:g}",
            f"{after.tokens:,}",
            f"{after.tokens / max(1, total):.1%}",
        )
        for name, weight, before, after in zip(names, weights, unweighted, weighted)
    ]
    return format_table([MIXTURE_HEADER, *rows])


def split_notes(data: DataConfig, sums: dict[str, list[SourceCounts]]) -> Iterator[str]:
    """Lines on what the split did to long documents, where that is worth a word."""
    for cut, whole in zip(sums["cut"], sums["whole"]):
        if cut.documents:
            yield (
                f"{cut.name}: {cut.documents:,} long document(s) cut in two, at the end of a "
                f"paragraph where there is one: of {whole.characters:,} characters the last "
                f"{cut.characters:,} are held out for validation"
            )
    train, val = (sum(counts.tokens for counts in sums[split]) for split in ("unweighted", "val"))
    share, wanted = val / max(1, train + val), data.val_fraction
    if data.filter:  # what is held out is not filtered
        wanted /= data.filter.keep
    if share > NOTED_RATIO * wanted:
        yield (
            f"the validation file has {share:.1%} of the tokens, where data.val_fraction asks for "
            f"{wanted:.1%}: whole documents are held out, and some of them are long; another "
            "data.val_fraction chooses others"
        )


def write_cleaning_report(
    folder: Path, names: Sequence[str], reports: Sequence[CleaningReport]
) -> None:
    """Write what the rules did to each source: cleaning_report.json, and .md for people."""
    sources = [{"source": n, **report.to_json()} for n, report in zip(names, reports)]
    write_json(folder / f"{CLEANING_NAME}.json", sources)
    with atomic_open(folder / f"{CLEANING_NAME}.md", "w") as file:
        file.write("# What the cleaning rules did\n")
        for name, report in zip(names, reports):
            share = report.kept / max(1, report.documents)
            file.write(
                f"\n## {name}\n\n{report.kept:,} of {report.documents:,} documents kept "
                f"({share:.1%}).\n\n```text\n{report.format()}\n```\n"
            )


def format_filter(
    names: Sequence[str],
    rules: Sequence[RuleCounts],
    scores: Sequence[Sequence[float]],
    unit: str,
) -> str:
    """What the quality filter did to each source; `scores` are median and worst of what it kept."""
    header = (*FILTER_HEADER, f"{unit}: median", "worst kept")
    rows = [
        (
            name,
            f"{rule.documents:,}",
            f"{rule.dropped:,}",
            f"{rule.characters:,}",
            f"{rule.dropped_characters:,}",
            *([f"{score:.3f}" for score in found] or ("-", "-")),
        )
        for name, rule, found in zip(names, rules, scores)
    ]
    return format_table([header, *rows])


def _row(counts: SourceCounts, held_out: SourceCounts) -> tuple[str, ...]:
    return (
        counts.name,
        f"{counts.documents:,}",
        f"{held_out.documents:,}",
        f"{counts.characters:,}",
        f"{counts.tokens:,}",
        f"{counts.text_bytes / max(1, counts.tokens):.2f}",
        f"{counts.unknown / max(1, counts.tokens):.4%}",
        f"{counts.skipped:,}",
        f"{counts.damaged:,}",
        f"{counts.read:,}",
        _share(counts.cleaned, counts.read),
        _share(counts.unique, counts.read),
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
