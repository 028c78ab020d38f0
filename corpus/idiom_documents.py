"""The demo's idioms as a document to look things up in: python -m corpus.idiom_documents.

A word and its meaning as pretraining reads them, without origin and example, so that several
passages fit a small context; blank lines between them, so that none shares a passage.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from common.errors import run_main
from common.files import atomic_open, user_path
from corpus import demo_corpus
from corpus.demo_readers import idiom_entry

NAME = "idioms.txt"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the document into a folder, from the table, which is fetched if it is not there."""
    parser = argparse.ArgumentParser(prog="python -m corpus.idiom_documents", description=__doc__)
    parser.add_argument("folder", nargs="?", type=user_path, default=Path("data/idiom-documents"))
    parser.add_argument("--raw", type=user_path, default=Path("data/raw"), help="of the table")
    options = parser.parse_args(argv)
    table = options.raw / "idiom.csv"
    if not table.exists():
        demo_corpus.fetch(demo_corpus.IDIOMS, table)
    with table.open(encoding="utf-8", newline="") as file:
        entries = [idiom_entry(row).splitlines()[0] for row in csv.DictReader(file)]
    with atomic_open(options.folder / NAME, "w") as file:
        file.write("\n\n".join(entries) + "\n")
    print(f"wrote {len(entries):,} entries to {options.folder / NAME}")
    return 0


if __name__ == "__main__":
    run_main(main)
