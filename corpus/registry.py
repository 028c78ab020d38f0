"""Readers by name. A reader turns one raw file into documents."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from common.errors import UserError
from corpus.config import SourceConfig
from corpus.input_file import InputFile

# The modules whose readers a recipe can name; a new corpus is a new module and a line here.
READER_MODULES = ("corpus.readers", "corpus.demo_readers")

READERS: dict[str, "Reader"] = {}


@dataclass(frozen=True)
class Reader:
    """How one kind of file is read, and how it is obtained when it is missing."""

    read: Callable[[InputFile, SourceConfig], Iterator[str]]
    """yields the documents of a file, in a stream; reports bad records to `InputFile.skip`"""
    fetch: Optional[Callable[[Path], None]] = None
    """makes the file at the given path; None where only the user can bring it"""


def reader(name: str, fetch: Optional[Callable[[Path], None]] = None) -> Callable:
    """Register the decorated function as the reader `name`."""

    def register(read: Callable) -> Callable:
        READERS[name] = Reader(read, fetch)
        return read

    return register


def find_reader(name: str) -> Reader:
    """The reader that a recipe calls `name`.

    Raises:
        UserError: there is none of that name.
    """
    for module in READER_MODULES:
        importlib.import_module(module)
    if name not in READERS:
        known = ", ".join(sorted(READERS))
        raise UserError(f"data.sources: reader {name!r} is unknown; the readers are {known}")
    return READERS[name]
