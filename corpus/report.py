"""The table that the data step ends with."""

from corpus.manifest import SourceCounts
from corpus.pipeline import Report

HEADER = (
    "source",
    "documents",
    "held out",
    "characters",
    "tokens",
    "bytes/token",
    "unknown",
    "skipped",
)


def format_report(report: Report) -> str:
    """A line for each source and one for all: both files together, and the documents held out."""
    both = [(a + b, b) for a, b in zip(report.train.sources, report.val.sources)]
    total = (
        sum((counts for counts, _ in both), SourceCounts("all")),
        sum((held_out for _, held_out in both), SourceCounts("held out")),
    )
    rows = [HEADER, *(_row(*counts) for counts in [*both, total])]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _row(counts: SourceCounts, held_out: SourceCounts) -> tuple[str, ...]:
    return (
        counts.name,
        f"{counts.documents:,}",
        f"{held_out.documents:,}",
        f"{counts.characters:,}",
        f"{counts.tokens:,}",
        f"{counts.text_bytes / counts.tokens:.2f}",
        f"{counts.unknown / counts.tokens:.4%}",
        f"{counts.skipped:,}",
    )
