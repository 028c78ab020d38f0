"""Rules by name. A rule is a pure function that gives a document back, changed or not, or None."""

import difflib
import functools
import importlib
import math
import typing
from collections.abc import Callable
from typing import Annotated, Any

from common.errors import UserError

# What a rule answers: the text that goes on, or None for a document that is dropped.
Verdict = str | None

# Types of parameters with their smallest and largest value.
Share = Annotated[float, (0.0, 1.0)]
Count = Annotated[int, (0, math.inf)]

# The modules whose rules a recipe can name; a new kind of rule is a new module and a line here.
RULE_MODULES = tuple(
    f"corpus.cleaning.{name}"
    for name in ("advertisements", "characters", "contacts", "lines", "markup", "measures")
)

RULES: dict[str, Callable[..., Verdict]] = {}


def rule(name: str) -> Callable:
    """Register the decorated function as the rule `name`.

    Its first argument is the text, the others are keywords with a type and a default value.
    """

    def register(function: Callable[..., Verdict]) -> Callable[..., Verdict]:
        RULES[name] = function
        return function

    return register


def known_rules() -> dict[str, Callable[..., Verdict]]:
    """All rules by name, in the order of the alphabet."""
    for module in RULE_MODULES:
        importlib.import_module(module)
    return dict(sorted(RULES.items()))


def make_rule(entry: dict[str, Any]) -> Callable[[str], Verdict]:
    """The function of one entry of `data.cleaning`, such as {rule: length, min: 10}.

    Raises:
        UserError: the rule or a parameter is unknown, or a value is not possible.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("rule"), str):
        raise UserError(
            f"data.cleaning: {entry!r} names no rule; "
            "write entries such as {rule: length, min: 10}"
        )
    rules = known_rules()
    name = entry["rule"]
    if name not in rules:
        raise UserError(
            f"data.cleaning: rule {_unknown(name, rules)}; the rules are {_list(rules)}"
        )
    types = _parameters(rules[name])
    values = {key: value for key, value in entry.items() if key != "rule"}
    for key, value in values.items():
        if key not in types:
            allowed = f"its parameters are {_list(types)}" if types else "it has none"
            raise UserError(
                f"data.cleaning: parameter {_unknown(key, types)} of rule {name}; {allowed}"
            )
        _check_value(f"{name}: {key}", value, types[key])
    return functools.partial(rules[name], **values)


def _parameters(function: Callable) -> dict[str, Any]:
    types = typing.get_type_hints(function, include_extras=True)
    return {key: kind for key, kind in types.items() if key not in ("text", "return")}


def _check_value(where: str, value: Any, kind: Any) -> None:
    bounds = getattr(kind, "__metadata__", ((),))[0]
    base = typing.get_args(kind)[0] if bounds else kind
    accepted = (int, float) if base is float else base
    if not isinstance(value, accepted) or (isinstance(value, bool) and base is not bool):
        names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise UserError(f"data.cleaning: {where} is {value!r}; it must be {names[base]}")
    if bounds and not bounds[0] <= value <= bounds[1]:
        limits = f"at least {bounds[0]}" if math.isinf(bounds[1]) else f"from 0 to {bounds[1]:g}"
        raise UserError(f"data.cleaning: {where} is {value!r}; it must be {limits}")


def _unknown(name: object, known: dict) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"{name!r} is unknown" + (f", did you mean {near[0]}" if near else "")


def _list(names: dict) -> str:
    return ", ".join(names)
