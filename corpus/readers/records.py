"""From records, which are JSON values or rows of a table, to texts."""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import reader

# What a function meets that looks into a record of another layout than it expects.
LAYOUT_ERRORS = (AttributeError, LookupError, TypeError)
PLAIN = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    bytes: "bytes, not text",
    bytearray: "bytes, not text",
    list: "a list that is not of texts",
    dict: "an object",
}


def layout(name: str, records: Callable[[InputFile, str], Iterator[Any]]) -> Callable:
    """Register the decorated function, from a record to its text, as the reader `name`.

    `records` takes the records from a file, given its encoding: `json_lines` or `json_entries`.
    The function may rely on the layout: a record where it fails is skipped.
    """

    def register(text_of: Callable[[Any], str]) -> Callable[[Any], str]:
        @reader(name)
        def read(file: InputFile, source: SourceConfig) -> Iterator[str]:
            return texts_of(records(file, source.encoding), text_of, file)

        return text_of

    return register


def texts_of(
    records: Iterable[Any], text_of: Callable[[Any], str], file: InputFile
) -> Iterator[str]:
    """The text of each record; one that has none, or another layout, is skipped."""
    for record in records:
        try:
            text = text_of(record)
        except LAYOUT_ERRORS as error:
            fields = f"; its fields are {_names(record)}" if isinstance(record, dict) else ""
            file.skip(f"not in the layout of this corpus ({error!r}){fields}")
        except ValueError as error:
            file.skip(str(error))
        else:
            yield text


def names_of(field: str | list[str]) -> list[str]:
    """The names that the `field` of a source stands for."""
    return [field] if isinstance(field, str) else field


def joined(record: Any, field: str | list[str]) -> str:
    """The text in the field of a record, or in several, joined by line breaks.

    A list of texts is joined by line breaks as well. A field that is null, empty, or the same as
    the one before it is left out. A record that is itself a text is that text.

    Raises:
        ValueError: a field is missing or holds no text, or all are null; it says what is there.
    """
    if isinstance(record, str):
        return record
    keys = names_of(field)
    if not isinstance(record, dict):
        raise ValueError(f"no text in field {' or '.join(keys)}: {_what(record)}")
    values = [_text(record.get(key, ...)) for key in keys]
    values = [value for value in values if value is not None]
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError(f"no text in field {' or '.join(keys)}: {_what_is_in(record, keys)}")
    texts = [value for value in values if value]
    return "\n".join(text for i, text in enumerate(texts) if not i or text != texts[i - 1])


def _text(value: Any) -> Any:
    """A list of texts as one text; anything else as it is."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


def _what(record: Any) -> str:
    """What a record is that has no fields."""
    if isinstance(record, list):
        return "the record is a list, which the reader json takes entry by entry"
    return f"the record is {PLAIN.get(type(record), type(record).__name__)}"


def _what_is_in(record: dict, keys: list[str]) -> str:
    """What a record holds in place of a text."""
    found = [
        f"{key} holds {PLAIN.get(type(record[key]), type(record[key]).__name__)}"
        for key in keys
        if key in record and not isinstance(_text(record[key]), str)
    ]
    if found:
        return " and ".join(found)
    for name, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return (
                f"the record has no such field, but {name}, a list of {len(value):,} records with "
                f"the fields {_names(value[0])}; write that list to a file of its own"
            )
    return f"the record has the fields {_names(record)}"


def _names(record: dict) -> str:
    """The fields of a record, as many as a line takes."""
    return textwrap.shorten(", ".join(map(str, record)) or "(none)", 200, placeholder=" …")
