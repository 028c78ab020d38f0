"""Readers of JSON: a record a line, or a list of records."""

import itertools
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.readers.records import joined, texts_of
from corpus.registry import reader

# A longer entry of a list is taken to have no end; this bounds the memory.
MAX_ENTRY_CHARS = 32 << 20
# Where a parser fails this close to the end of what was read, it may only lack what follows.
MAX_TOKEN_CHARS = 32
# Byte-order marks stand there where files were joined.
SEPARATORS = re.compile(r"[\s,\ufeff]*")


@reader("jsonl")
def read_jsonl(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One JSON record a line."""
    records = json_lines(file, source.encoding)
    return texts_of(records, partial(joined, field=source.field), file)


@reader("json")
def read_json(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One JSON list of records or of strings, or a record alone."""
    records = json_entries(file, source.encoding)
    return texts_of(records, partial(joined, field=source.field), file)


def json_lines(file: InputFile, encoding: str) -> Iterator[Any]:
    """The JSON value of each line; malformed lines are skipped."""
    for line in file.lines(encoding):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            first = file.record == 1 and line.strip() in ("[", "{")
            hint = "; JSON that spans several lines needs the reader json" if first else ""
            file.skip(f"malformed JSON ({error}){hint}")
            continue
        yield record


def json_entries(file: InputFile, encoding: str) -> Iterator[Any]:
    """The entries of a list, or the values that follow one another where no list opens.

    The buffer they are parsed from holds little more than the longest of them. Where a broken entry
    ends cannot be known, so it and what follows it are lost.
    """
    buffer, at, is_list, wanted = "", 0, None, 0
    for piece in itertools.chain(file.characters(encoding), [""]):
        buffer += piece
        if piece and len(buffer) < wanted:
            continue
        while (at := SEPARATORS.match(buffer, at).end()) < len(buffer):
            if is_list is None:
                is_list = buffer[at] == "["
                at += is_list
            elif is_list and buffer[at] == "]":
                return
            else:
                file.record += 1
                try:
                    entry, at = _parse(buffer, at)
                except EOFError:
                    file.record -= 1
                    break
                except (ValueError, RecursionError) as error:
                    file.damage(
                        f"entry {file.record}, which begins {buffer[at : at + 40]!r}, is not "
                        f"valid JSON ({error})"
                    )
                    return
                yield entry
        buffer, at = buffer[at:], 0
        # Parsing an entry again for each block that it goes on would take quadratic time.
        wanted = 2 * len(buffer)
    if is_list or buffer:
        file.damage(f"it ends before the end of entry {file.record + 1} or of the list")


def _parse(buffer: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place in the buffer, and where it ends.

    Raises:
        EOFError: it may go on behind the buffer.
        ValueError, RecursionError: it is broken.
    """
    try:
        value, end = json.JSONDecoder().raw_decode(buffer, at)
    except json.JSONDecodeError as error:
        in_string = error.msg.startswith("Unterminated string")
        may_go_on = in_string or error.pos > len(buffer) - MAX_TOKEN_CHARS
        if may_go_on and len(buffer) - at <= MAX_ENTRY_CHARS:
            raise EOFError from error
        raise
    if end == len(buffer) and buffer[end - 1] not in '"}]':
        raise EOFError  # a number
    return value, end
