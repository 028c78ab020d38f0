"""Is the right passage found? Recall of the index of documents: python -m benchmarks.passages.

The demo's table of idioms, one document of an idiom each. Held-out questions are those of words
that the chat examples hold out. By word: the idiom stands in the question, among words that others
share. By meaning: the question is the explanation, and the documents hold only origin and example,
so that question and passage have few words in common.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from corpus import demo_corpus
from corpus.demo_readers import idiom_entry
from corpus.idiom_readers import HELD_OUT_WORDS, draw
from corpus.passages import PassageIndex

DEPTH = 5
ASKED = "请问成语“{}”是什么意思？出自哪里？"


def rows(table: Path) -> Iterator[dict[str, str]]:
    """The rows of the table that have an origin, an example and a meaning."""
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if "无" not in (row["derivation"], row["example"], row["explanation"]):
                yield row


def write_documents(folder: Path, table: Path, meaning: bool) -> dict[str, str]:
    """A document of each idiom; the word that each file is about."""
    words = {}
    for number, row in enumerate(rows(table)):
        lines = idiom_entry(row).split("\n")
        name = f"{number:05d}.txt"
        words[name] = row["word"]
        text = "\n".join(lines if meaning else lines[1:])
        (folder / name).write_text(text, encoding="utf-8")
    return words


def measure(table: Path, by_meaning: bool, share: float = HELD_OUT_WORDS) -> str:
    """Recall and speed on a share of the words, in one line."""
    with tempfile.TemporaryDirectory() as folder:
        words = write_documents(Path(folder), table, meaning=not by_meaning)
        begin = time.perf_counter()
        index = PassageIndex.open(folder)
        built = time.perf_counter() - begin
        asked = {
            row["word"]: row["explanation"]
            for row in rows(table)
            if draw("word", row["word"]) < share
        }
        found, seconds = {1: 0, DEPTH: 0}, []
        for word, explanation in asked.items():
            question = explanation if by_meaning else ASKED.format(word)
            begin = time.perf_counter()
            passages = index.search(question, DEPTH)
            seconds.append(time.perf_counter() - begin)
            for depth in found:
                found[depth] += word in [words[p.document] for p in passages[:depth]]
        shares = ", ".join(f"recall@{k} {n / len(asked):.3f}" for k, n in found.items())
        return (
            f"  by {'meaning' if by_meaning else 'word':8s}{len(asked):5,} questions, "
            f"{len(index):,} passages: {shares}; {median(seconds) * 1e3:.1f} ms a question, "
            f"built in {built:.1f} s"
        )


def main() -> None:
    """Print a line for each kind of question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of the table")
    args = parser.parse_args()
    table = args.raw / "idiom.csv"
    if not table.exists():
        demo_corpus.fetch(demo_corpus.IDIOMS, table)
    for by_meaning in (False, True):
        print(measure(table, by_meaning), flush=True)


if __name__ == "__main__":
    main()
