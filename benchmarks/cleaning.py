"""What the recommended rules keep of real text, and how fast: `python -m benchmarks.cleaning`."""

import itertools
import re
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.real_text import SOURCES
from corpus.cleaning.cleaner import Cleaner

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "cleaning.md"
# Enough of each source for a share to three digits.
MAX_DOCUMENTS = 40_000
HEADER = """\
| source | documents | kept | characters kept | characters/s |
|---|---:|---:|---:|---:|"""


def recommended() -> list[dict[str, Any]]:
    """The rules of the first YAML block in docs/cleaning.md."""
    block = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return yaml.safe_load(block[1])["data"]["cleaning"]


def measure(name: str, documents: list[str]) -> tuple[str, Cleaner]:
    """A row of the table, and the cleaner with its report."""
    cleaner = Cleaner(recommended())
    start = time.process_time()
    kept = [text for text in map(cleaner.clean, documents) if text is not None]
    seconds = time.process_time() - start
    before, after = (sum(map(len, texts)) for texts in (documents, kept))
    cells = (
        name,
        f"{len(documents):,}",
        f"{len(kept) / len(documents):.1%}",
        f"{after / before:.1%}",
        f"{before / seconds / 1e6:.1f} M",
    )
    return f"| {' | '.join(cells)} |", cleaner


def main() -> None:
    """Print the table of all sources, then what each rule did to them together."""
    print(HEADER)
    reports = []
    for name, source in SOURCES.items():
        row, cleaner = measure(name, list(itertools.islice(source(), MAX_DOCUMENTS)))
        print(row, flush=True)
        reports.append(cleaner.report)
    print()
    print(sum(reports[1:], reports[0]).format())


if __name__ == "__main__":
    main()
