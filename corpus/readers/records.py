"""From records, which are JSON values or rows of a table, to texts."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import reader

# What a function meets that looks into a record of another layout than it expects.
LAYOUT_ERRORS = (AttributeError, LookupError, TypeError)


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
            file.skip(f"not in the layout of this corpus ({error!r})")
        except ValueError as error:
            file.skip(str(error))
        else:
            yield text


def names_of(field: str | list[str]) -> list[str]:
    """The names that the `field` of a source stands for."""
    return [field] if isinstance(field, str) else field


def joined(record: Any, field: str | list[str]) -> str:
    """The text in the field of a record, or in several, joined by line breaks.

    A field that is null, empty, or the same as the one before it is left out. A record that is
    itself a text is that text.

    Raises:
        ValueError: a field is missing or holds no text, or all are null.
    """
    if isinstance(record, str):
        return record
    keys = names_of(field)
    values = [record.get(key, ...) if isinstance(record, dict) else ... for key in keys]
    values = [value for value in values if value is not None]
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError(f"no text in field {' or '.join(keys)}")
    texts = [value for value in values if value]
    return "\n".join(text for i, text in enumerate(texts) if not i or text != texts[i - 1])
