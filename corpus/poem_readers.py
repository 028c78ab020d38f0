"""The reader of the poems of Tang and Song: those in a regular form, in simplified characters."""

import functools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.poem_corpus import fetch_poems
from corpus.registry import reader
from corpus.split import is_held_out
from corpus.verse.forms import HAN, Form, form_of, join_lines, split_lines

MAX_TITLE_CHARS = 12
NO_POEM = "no poem with title and paragraphs"


@dataclass(frozen=True)
class Poem:
    """A poem in a regular form."""

    title: str
    form: Form
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines with their punctuation."""
        return join_lines(self.lines)

    @property
    def document(self) -> str:
        """The poem as pretraining reads it: form and title on a line, then the text."""
        return heading(self.form.name, self.title) + self.text

    def is_held_out(self, val_fraction: float) -> bool:
        """Whether it belongs to validation in pretraining, and so in all later stages."""
        return is_held_out(self.document.encode("utf-8"), val_fraction)


def heading(form: str, title: str) -> str:
    """The first line of the document of a poem."""
    return f"{form}：{title}\n"


@reader("tang_song_poems", fetch=fetch_poems)
def read_tang_song_poems(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """A record a line; a poem in a regular form becomes "七言绝句：题目", a line break, the poem.

    Poems in other forms, damaged ones, and those whose title is long or no plain text, are
    counted and left out.
    """
    for poem in read_poems(file, source.encoding):
        yield poem.document


def read_poems(file: InputFile, encoding: str = "utf-8") -> Iterator[Poem]:
    """The poems in a regular form; what is left out is counted by its reason and logged at the end.

    A title is text of at most 12 characters; a damaged poem has gaps or notes within its lines.
    """
    left_out = Counter()
    for line in file.lines(encoding):
        found = parse_poem(line)
        if isinstance(found, Poem):
            yield found
        else:
            left_out[found] += 1
    file.skipped += left_out.total()
    if left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.most_common())
        file.warn(f"left out: {reasons}")


def title_in(line: str) -> str:
    """The title in a line of JSON, whatever the form; nothing where there is none to use."""
    try:
        return title_of(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def parse_poem(line: str) -> Poem | str:
    """The poem of a line of JSON, or why it is left out."""
    try:
        return parse_record(json.loads(line))
    except ValueError:
        return NO_POEM


def parse_record(record: Any) -> Poem | str:
    """The poem of a record with title and paragraphs, or why it is left out."""
    try:
        lines = split_lines("".join(record["paragraphs"]))
        title = title_of(record)
    except (KeyError, TypeError, AttributeError):
        return NO_POEM
    lengths = {len(line) for line in lines}
    if len(lines) not in (4, 8) or len(lengths) > 1 or lengths - {5, 7}:
        return "in another form"
    if not all(map(HAN.fullmatch, lines)):
        return "damaged"
    if not title:
        return "with a title that is long, missing or no plain text"
    lines = simplified("\n".join(lines)).split("\n")
    form = form_of(lines)
    return Poem(title, form, lines) if form else "damaged"


def title_of(record: Any) -> str:
    """The title of a record; nothing where it is long, empty or no plain text."""
    title = " ".join(record["title"].split())
    usable = len(title) <= MAX_TITLE_CHARS and HAN.fullmatch(title.replace(" ", ""))
    return simplified(title) if usable else ""


def simplified(text: str) -> str:
    """The text in simplified characters."""
    return _converter().convert(text)


@functools.cache
def _converter():
    import opencc  # loads its tables

    return opencc.OpenCC("t2s")
