"""Readers of the general formats: JSON lines, JSON lists and plain text."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Union

from common.errors import UserError
from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import reader

# Nothing longer is looked at as one entry of a JSON list: the list is taken to be broken.
MAX_ENTRY_CHARS = 64 << 20
# JSON can spell these, but no encoding can hold them.
HALF_SURROGATE = re.compile("[\ud800-\udfff]")
SEPARATORS = re.compile(r"[\s,]*")


@reader("jsonl")
def read_jsonl(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One JSON record a line; bad lines are skipped."""
    for number, line in file.lines():
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            file.skip(number, f"malformed JSON ({error})")
            continue
        yield from _text_of(record, number, file, source.field)


@reader("json")
def read_json_list(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One JSON list of records or of strings; entries without the text are skipped."""
    for number, record in enumerate(_list_entries(file), 1):
        yield from _text_of(record, number, file, source.field)


@reader("txt")
def read_txt(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """The whole file is one document."""
    yield file.text()


@reader("txt_blank")
def read_txt_blank(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """Documents with blank lines between them."""
    document: list[str] = []
    for _, line in file.lines():
        if line.strip():
            document.append(line)
        elif document:
            yield "\n".join(document)
            document = []
    if document:
        yield "\n".join(document)


def _text_of(
    record: Any, number: int, file: InputFile, field: Union[str, list[str]]
) -> Iterator[str]:
    """The text of one record; nothing, and a skip, where it has none."""
    if isinstance(record, str):
        texts = [record]
    else:
        keys = [field] if isinstance(field, str) else field
        texts = [record.get(key) if isinstance(record, dict) else None for key in keys]
    if not all(isinstance(text, str) for text in texts):
        file.skip(number, f"no text in field {field}")
        return
    text = "\n".join(text for text in texts if text)
    if HALF_SURROGATE.search(text):
        file.skip(number, "half a surrogate pair, which is not text")
    else:
        yield text


def _list_entries(file: InputFile) -> Iterator[Any]:
    """Entries of the list, parsed from a buffer that holds little more than the longest of them."""
    decoder, buffer, opened = json.JSONDecoder(), "", False
    for chunk in _characters(file):
        buffer += chunk
        at = SEPARATORS.match(buffer).end()
        if not opened and at < len(buffer):
            if buffer[at] != "[":
                raise UserError(f"{file.path} is not a JSON list; for one record a line use jsonl")
            at, opened = at + 1, True
        while (at := SEPARATORS.match(buffer, at).end()) < len(buffer) and buffer[at] != "]":
            try:
                entry, end = decoder.raw_decode(buffer, at)
            except (ValueError, RecursionError):
                break  # the entry goes on in the next chunk
            if end == len(buffer):
                break  # a number may go on too
            yield entry
            at = end
        if buffer[at : at + 1] == "]":
            return
        buffer = buffer[at:]
        if len(buffer) > MAX_ENTRY_CHARS:
            break
    raise UserError(
        f"{file.path} is not a valid JSON list: it breaks in the entry that begins "
        f"{buffer[:40]!r}; mend or delete that entry"
    )


def _characters(file: InputFile) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for block in file.blocks():
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise file.not_utf8(file.position - len(error.object) + error.start) from error
