"""Readers by name. A reader turns one raw file into documents."""

import functools
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chat.messages import DialogueError
from common.errors import UserError
from corpus.config import SourceConfig
from corpus.example import Example
from corpus.input_file import BYTE_ORDER_MARK, InputFile

# The modules whose readers a recipe can name; a new corpus is a new module and a line here.
READER_MODULES = (
    "corpus.readers.json_text",
    "corpus.readers.plain_text",
    "corpus.readers.tables",
    "corpus.readers.published",
    "corpus.readers.token_ids",
    "corpus.demo_readers",
    "corpus.readers.dialogues",
    "corpus.readers.preferences",
    "corpus.idiom_readers",
    "corpus.poem_readers",
    "corpus.poem_tasks",
)

READERS: dict[str, "Reader"] = {}


@dataclass(frozen=True)
class Reader:
    """How one kind of file is read, and how it is obtained when it is missing."""

    read: Callable[..., Iterator]
    """`read(file: InputFile, source: SourceConfig)` yields the texts of the documents of a file,
    in a stream. It reports bad records to `file.skip` and damage to `file.damage`, and goes on.
    A reader of `tokens` has a third argument: `read(file, source, eos_id)`"""
    fetch: Callable[[Path], None] | None = None
    """makes the file at the given path; None where only the user can bring it"""
    tokens: bool = False
    """the corpus is tokenised already: `read` yields a 1-d integer array of ids a document,
    without <eos> and never empty. Its ids are those of the file: whether they fit the vocabulary
    is for the caller to check"""
    examples: str = ""
    """the kind of the examples, as in `data.kind`: `read(file, source, val_fraction)` yields an
    `Example` each, or a `DialogueError` for a record that is none; empty: texts or ids"""

    @property
    def kind(self) -> str:
        """The `data.kind` whose recipes can name it."""
        return self.examples or "text"


def reader(
    name: str,
    fetch: Callable[[Path], None] | None = None,
    tokens: bool = False,
    examples: str = "",
) -> Callable:
    """Register the decorated function as the reader `name`; see `Reader` for the rest."""

    def register(read: Callable) -> Callable:
        if examples:
            checked = functools.partial(_sound_examples, read, examples)
        else:
            checked = read if tokens else functools.partial(_sound_texts, read)
        READERS[name] = Reader(checked, fetch, tokens, examples)
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


def _sound_texts(
    read: Callable[[InputFile, SourceConfig], Iterator[str]], file: InputFile, source: SourceConfig
) -> Iterator[str]:
    """The texts that a reader yields, without what no encoding can hold, by one rule for all.

    Lines end in a line feed, and byte-order marks are dropped wherever they stand.
    """
    for text in read(file, source):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            file.skip(f"half a surrogate pair, or bytes that are not {source.encoding}")
        else:
            yield _plain(file.without_nul(text))


def _plain(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace(BYTE_ORDER_MARK, "")


def _sound_examples(
    read: Callable[..., Iterator[Example | DialogueError]],
    kind: str,
    file: InputFile,
    source: SourceConfig,
    val_fraction: float,
) -> Iterator[Example]:
    """The examples that a reader yields, without those that no model can learn from."""
    for found in read(file, source, val_fraction):
        if isinstance(found, DialogueError):
            file.skip(str(found))
            continue
        try:
            found.check(kind)
            found.to_text().encode("utf-8")
        except DialogueError as error:
            file.skip(str(error))
        except UnicodeEncodeError:
            file.skip(f"half a surrogate pair, or bytes that are not {source.encoding}")
        else:
            yield found
