"""Typed sections: dataclasses whose values come from plain ones, such as YAML gives.

A section is a dataclass; its fields are numbers, texts, lists, mappings or further sections, and
the docstring below a field describes it. A field `X | None` may be null, also where X is a section.
Of a field `X | Y` of several sections, the value of their first field, `kind`, says which it holds.
"""

import dataclasses
import datetime
import difflib
import math
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import docstring_parser

from common.errors import UserError
from common.yaml_text import write_flow

WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list such as [a, b]",
    dict: "fields such as {field: value}",
    type(None): "null",
    Any: "a value",
}
MAX_INT = 2**63 - 1


def field_types(section: type) -> dict[str, Any]:
    """The annotation of each field of a section, in order."""
    hints = typing.get_type_hints(section)
    return {field.name: hints[field.name] for field in dataclasses.fields(section)}


def field_docs(section: type) -> dict[str, str]:
    """The docstring of each field of a section, in one line; a section has those of its bases."""
    bases = [base for base in reversed(section.__mro__) if dataclasses.is_dataclass(base)]
    docs = [param for base in bases for param in docstring_parser.parse_from_object(base).params]
    return {param.arg_name: " ".join(param.description.split()) for param in docs}


def summary(section: type) -> str:
    """The first line of a section's own docstring, without its full stop."""
    return docstring_parser.parse(section.__doc__).short_description.removesuffix(".")


def alternatives(kind: Any) -> list[Any]:
    """The types that an annotation allows: of `int | None`, int and NoneType."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return list(typing.get_args(kind)) if union else [kind]


def sections_in(kind: Any) -> list[type]:
    """The sections that a field may hold; none of a field that holds a value."""
    return [choice for choice in alternatives(kind) if dataclasses.is_dataclass(choice)]


def section_in(kind: Any, values: Any = None) -> type | None:
    """The section that a field holds, also one that may be null; None: it holds a value.

    Of several, that whose kind is the one in the plain `values`, or the first.
    """
    sections = sections_in(kind)
    given = values.get("kind") if isinstance(values, dict) else None
    named = [section for section in sections if given in kinds_of(section)]
    return next(iter(named or sections), None)


def kinds_of(section: type) -> tuple[str, ...]:
    """The values that a section's field `kind` may have."""
    return typing.get_args(field_types(section).get("kind"))


def field_names(section: type) -> Iterator[str]:
    """Dotted names of all sections and fields within a section, each once."""
    for name, kind in field_types(section).items():
        yield name
        inner = [found for one in sections_in(kind) for found in field_names(one)]
        yield from (f"{name}.{field}" for field in dict.fromkeys(inner))


def default_values(section: type) -> dict[str, Any]:
    """The plain values of a section that is not described; what has no default is left out."""
    values, kinds = {}, field_types(section)
    for field in dataclasses.fields(section):
        kind = kinds[field.name]
        factory = field.default_factory
        if dataclasses.is_dataclass(kind) and factory in (dataclasses.MISSING, kind):
            # Not of an instance: sizes that it derives would outlive a change of their source.
            values[field.name] = default_values(kind)
        elif factory is not dataclasses.MISSING:
            values[field.name] = plain(factory())
        elif field.default is not dataclasses.MISSING:
            values[field.name] = plain(field.default)
    return values


def update_values(
    section: type, values: dict[str, Any], given: dict[Any, Any], where: str = ""
) -> None:
    """Put given plain values in the place of those of a section; sections within keep the rest.

    Raises:
        UserError: a field is unknown or its value is of another type; the sentence names it.
    """
    kinds = field_types(section)
    check_names("field ", [f"{where}{name}" for name in given], [where + name for name in kinds])
    for name, value in given.items():
        inner = section_in(kinds[name], values.get(name))
        if inner and isinstance(value, dict):
            present = values.get(name) or default_values(inner)
            if len(sections_in(kinds[name])) > 1:
                kind = value.get("kind", present["kind"])
                if kind != present["kind"]:  # of another kind nothing stays
                    inner = section_of_kind(kinds[name], kind, where + name)
                    present = default_values(inner)
                _check_fields_of_kind(inner, value, kind, where + name)
            values[name] = present
            update_values(inner, present, value, f"{where}{name}.")
        else:
            values[name] = read_value(kinds[name], value, where + name)


def section_of_kind(field: Any, kind: Any, where: str) -> type:
    """The section of a kind, of those that a field may hold.

    Raises:
        UserError: there is none; the sentence lists the kinds.
    """
    sections = {name: section for section in sections_in(field) for name in kinds_of(section)}
    if kind not in sections:
        raise UserError(f"{where}.kind is {kind}; it must be one of {', '.join(sections)}")
    return sections[kind]


def read_value(kind: Any, value: Any, where: str) -> Any:
    """A plain value as the type that a field declares.

    Raises:
        UserError: it is of another type; the sentence says the field, the value and the types.
    """
    choices = alternatives(kind)
    for choice in choices:
        if _fits(choice, value):
            return _convert(choice, value, where)
    allowed = " or ".join(dict.fromkeys(_words(choice) for choice in choices))
    unquoted = str in choices and isinstance(value, bool | int | float | datetime.date)
    hint = f"; write '{value}' in quotation marks if that is meant" if unquoted else ""
    spelled = write_flow(value) if value is None or isinstance(value, bool) else value
    raise UserError(f"{where} is {spelled}; it must be {allowed}{hint}")


def build_section(section: type, values: dict[str, Any], where: str = "") -> Any:
    """The dataclass of a section from its plain values.

    Raises:
        UserError: a field is missing, or the section refuses its values.
    """
    built = {}
    for name, kind in field_types(section).items():
        if name not in values:
            raise UserError(f"{where}{name} is missing")
        built[name] = _build(kind, values[name], where + name)
    try:
        return section(**built)
    except ValueError as error:
        raise UserError(str(error)) from error


def plain(value: Any) -> Any:
    """A section, or a list of sections, as plain values; anything else as it is."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def check_names(what: str, names: Iterable[str], known: Iterable[str], dashes: str = "") -> None:
    """Refuse a name that is not known.

    Raises:
        UserError: `what` and the name are unknown; the hint is the nearest known name.
    """
    known = list(known)
    for name in names:
        if name in known:
            continue
        same = [other for other in known if other.split(".")[-1] == name]
        near = same if len(same) == 1 else difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {dashes}{near[0]}?" if near else "--help lists the known ones"
        raise UserError(f"{what}{dashes}{name} is unknown; {hint}")


def _fits(kind: Any, value: Any) -> bool:
    """Whether a plain value has the outer shape of a type."""
    origin = typing.get_origin(kind) or kind
    if origin is Any:
        return True
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in typing.get_args(kind))
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if dataclasses.is_dataclass(origin):
        return isinstance(value, dict)
    return type(value) is origin


def _convert(kind: Any, value: Any, where: str) -> Any:
    """A value that fits, with all that is in it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        values = default_values(kind)
        update_values(kind, values, value, f"{where}.")
        return {name: values[name] for name in field_types(kind) if name in values}
    if origin is list:
        return [read_value(inner[0], item, where) for item in value]
    if origin is dict:
        return {
            read_value(inner[0], key, where): read_value(inner[1], item, f"{where}.{key}")
            for key, item in value.items()
        }
    if kind in (int, float):
        if not math.isfinite(value):
            raise UserError(f"{where} is {value}; it must be a finite number")
        if abs(value) > MAX_INT and isinstance(value, int):
            raise UserError(f"{where} is {value}; it must be a number of at most 63 bits")
    return float(value) if kind is float else value


def _build(kind: Any, value: Any, where: str) -> Any:
    section = section_in(kind, value)
    if section and value is not None:
        return build_section(section, value, f"{where}.")
    (item,) = typing.get_args(kind) if typing.get_origin(kind) is list else (None,)
    return [_build(item, one, where) for one in value] if item else value


def _check_fields_of_kind(section: type, given: dict[Any, Any], kind: str, where: str) -> None:
    known = list(field_types(section))
    for name in given:
        if name not in known:
            raise UserError(
                f"field {where}.{name} is unknown for {where}.kind {kind}; its fields are "
                f"{', '.join(known)}"
            )


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(kind)))
    if dataclasses.is_dataclass(kind):
        return f"fields such as {{{next(iter(field_types(kind)))}: value}}"
    return WORDS[typing.get_origin(kind) or kind]
