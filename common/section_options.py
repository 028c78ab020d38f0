"""A command line over a section: --SECTION.FIELD VALUE, and its --help."""

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from common.errors import UserError
from common.sections import (
    alternatives,
    check_names,
    default_values,
    field_docs,
    field_names,
    field_types,
    section_in,
    sections_in,
    summary,
    update_values,
)
from common.yaml_text import read_yaml, write_flow

PLACEHOLDERS = {
    int: "INT",
    float: "NUMBER",
    bool: "{true,false}",
    str: "TEXT",
    list: "[ITEM,...]",
    dict: "{NAME: VALUE,...}",
}
COLUMN = 34
WIDTH = 100


class Option(NamedTuple):
    """One option as it was typed."""

    name: str
    """dotted name of a field, or the name of another option"""
    text: str
    """its value; empty for a flag"""
    adds: bool = False
    """--NAME+: add to the list that is there"""


def read_options(
    argv: Sequence[str], section: type, others: Sequence[str] = (), flags: Sequence[str] = ()
) -> list[Option]:
    """Split a command line into options: fields of a section, `others`, and flags without value.

    Raises:
        UserError: an option is unknown, lacks its value or must have none.
    """
    known = [*field_names(section), *others, *flags]
    options = []
    words = iter(argv)
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UserError(
                f"{word} is not an option; write --NAME VALUE, or --NAME=VALUE where the value "
                "begins with a dash"
            )
        adds, name = name.endswith("+"), name.removesuffix("+")
        check_names("option ", [name], known, "--")
        if name in flags and (equals or adds):
            raise UserError(f"option --{name} takes no value")
        if name not in flags and not equals:
            text = next(words, "--")
            if text.startswith("--"):
                raise UserError(f"option --{name} needs a value, as in --{name}=VALUE")
        if not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text):
            raise UserError(f"option --{name} is not text in UTF-8: {text!r}")
        options.append(Option(name, text, adds))
    return options


def apply_option(section: type, values: dict[str, Any], option: Option) -> None:
    """Put the value of an option in its place among the plain values of a section.

    Raises:
        UserError: the value is of another type than the field; the sentence names the field.
    """
    *path, name = option.name.split(".")
    inner, present = section, values
    for part in path:
        inner = section_in(field_types(inner)[part], present.get(part))
        present = present.get(part) or default_values(inner)
    kind = field_types(inner).get(name)  # None: a field of another kind, refused below
    given = _read_text(kind, option) if kind else option.text
    if option.adds:
        if get_origin(kind) is not list:
            raise UserError(f"option --{option.name}+ adds to a list; {option.name} is not a list")
        given = present.get(name, []) + (given if isinstance(given, list) else [given])
    given = {name: given}
    for part in reversed(path):
        given = {part: given}
    update_values(section, values, given)


def apply_options(section: type, values: dict[str, Any], options: Iterable[Option]) -> None:
    """Apply options in their order; those that choose a kind come first, whose fields others are.

    Raises:
        UserError: as `apply_option`.
    """
    for option in sorted(options, key=lambda option: not option.name.endswith(".kind")):
        apply_option(section, values, option)


def format_help(
    section: type, values: dict[str, Any], description: str, others: Mapping[str, str]
) -> str:
    """The --help of a section with its present values; `others`: further options, described."""
    usage = [f"[{option}]" for option in others] + ["[--SECTION.FIELD VALUE ...]"]
    return "\n".join(
        [
            f"usage: {Path(sys.argv[0]).name} {' '.join(usage)}",
            "",
            *textwrap.wrap(" ".join(description.split()), WIDTH),
            "",
            *(line for option, doc in others.items() for line in _entry(option, doc)),
            *_field_help(section, values),
            "",
        ]
    )


def _read_text(kind: Any, option: Option) -> Any:
    """The plain value of an option: its text as it stands for a field of text, else as YAML."""
    kinds = alternatives(kind)
    is_text = str in kinds or get_origin(kind) is Literal
    try:
        value = read_yaml(option.text)
    except ValueError as error:
        if is_text:
            return option.text
        raise UserError(f"{option.name} is {option.text}; {error}") from error
    kept = (value is None and type(None) in kinds) or isinstance(value, list) and len(kinds) > 1
    return option.text if is_text and not kept else value


def _field_help(section: type, values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    docs, kinds = field_docs(section), field_types(section)
    yield from ["", f"{summary(section)}:"]
    inner = {name: sections_in(kind) for name, kind in kinds.items()}
    for name in (name for name in kinds if not inner[name]):
        shown = f" (default: {write_flow(values[name])})" if name in values else " (required)"
        yield from _entry(f"--{prefix}{name} {_placeholder(kinds[name])}", docs[name] + shown)
    for name in (name for name in kinds if inner[name]):
        for one in inner[name]:
            is_present = values[name] and one is section_in(kinds[name], values[name])
            present = values[name] if is_present else default_values(one)
            yield from _field_help(one, present, f"{prefix}{name}.")


def _placeholder(kind: Any) -> str:
    kind = alternatives(kind)[0]
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    return PLACEHOLDERS[get_origin(kind) or kind]


def _entry(option: str, doc: str) -> Iterator[str]:
    """An option and its description beside it, or below where it is long."""
    lines = textwrap.wrap(doc, WIDTH - COLUMN)
    head = f"  {option}"
    if len(head) < COLUMN:
        head = head.ljust(COLUMN) + lines.pop(0)
    yield head
    yield from (" " * COLUMN + line for line in lines)
