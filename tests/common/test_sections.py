"""Typed sections: nested, optional, listed; their values, errors, options and help."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from common.errors import UserError
from common.section_options import apply_option, format_help, read_options
from common.sections import build_section, default_values, plain, update_values


@dataclass(frozen=True)
class Rank:
    """How wide it is."""

    rank: int
    """width"""
    alpha: float | None = None
    """null: twice the rank"""

    def __post_init__(self):
        if self.alpha is None:
            object.__setattr__(self, "alpha", 2.0 * self.rank)


@dataclass(frozen=True)
class Inner:
    """What lies within."""

    size: int = 3
    """how large"""
    adapter: Rank | None = None
    """null: none"""
    text: str | list[str] = "text"
    """one or more"""


@dataclass(frozen=True)
class Outer:
    """The whole."""

    name: str
    """its name"""
    inner: Inner = field(default_factory=Inner)
    """what lies within"""
    ranks: list[Rank] = field(default_factory=list)
    """several"""
    rules: list[dict[str, Any]] = field(default_factory=list)
    """free"""
    kind: Literal["a", "b"] | None = None
    """which"""


def read(given: dict, *argv: str) -> Outer:
    values = default_values(Outer)
    update_values(Outer, values, given)
    for option in read_options(argv, Outer):
        apply_option(Outer, values, option)
    return build_section(Outer, values)


def test_what_is_not_given_has_its_default():
    assert read({"name": "x"}) == Outer("x", Inner())


def test_values_and_sections_in_any_depth():
    outer = read(
        {
            "name": "x",
            "inner": {"adapter": {"rank": 4}},
            "ranks": [{"rank": 1, "alpha": 3}],
            "rules": [{"rule": "length", "min": 2}],
        },
        *["--inner.adapter.alpha", "5", "--ranks+", "{rank: 2}", "--kind", "b"],
        *["--inner.text=[a, b]"],
    )
    assert outer.inner == Inner(adapter=Rank(4, 5.0), text=["a", "b"])
    assert outer.ranks == [Rank(1, 3.0), Rank(2, 4.0)]
    assert (outer.rules, outer.kind) == ([{"rule": "length", "min": 2}], "b")
    values = default_values(Outer)
    update_values(Outer, values, plain(outer))
    assert build_section(Outer, values) == outer


def test_an_optional_section_comes_and_goes():
    assert read({"name": "x"}, "--inner.adapter.rank=4").inner.adapter == Rank(4)
    given = {"name": "x", "inner": {"adapter": {"rank": 4}}}
    assert read(given, "--inner.adapter", "null").inner.adapter is None
    assert read(given, "--inner", "{size: 5}").inner == Inner(5, Rank(4))
    with pytest.raises(UserError, match=r"inner\.adapter\.rank is missing"):
        read({"name": "x"}, "--inner.adapter.alpha=4")


def test_a_text_is_taken_as_it_stands():
    assert read({}, "--name", "null").name == "null"
    assert read({}, "--name=-5").name == "-5"
    assert read({}, "--name", "-5").name == "-5"
    assert read({"name": "x"}, "--inner.text", "2024").inner.text == "2024"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ("--size 4", "option --size is unknown; did you mean --inner.size?"),
        ("--inner.adapter.rnk 4", "did you mean --inner.adapter.rank?"),
        ("--inner.size nan", "inner.size is nan; it must be a whole number"),
        ("--inner.size true", "inner.size is true; it must be a whole number"),
        ("--inner.size null", "inner.size is null; it must be a whole number"),
        ("--inner.size [", "inner.size is [; while parsing"),
        ("--inner.adapter.alpha .nan", "inner.adapter.alpha is nan; it must be a finite number"),
        ("--inner.adapter.alpha -.inf", "inner.adapter.alpha is -inf; it must be a finite number"),
        ("--inner.adapter.alpha x", "it must be a number or null"),
        ("--inner.size 18446744073709551616", "inner.size is 18446744073709551616; it must"),
        ("--inner {size: 1, size: 2}", "inner is {size: 1, size: 2}; size appears twice"),
        ("--kind c", "kind is c; it must be one of 'a', 'b' or null"),
        ("--inner.text [3]", "inner.text is 3; it must be text; write '3' in quotation marks"),
        ("--inner.size+ 3", "inner.size is not a list"),
        ("--ranks [{rank: 1, rnk: 2}]", "field ranks.rnk is unknown; did you mean ranks.rank?"),
        ("--ranks+ [{alpha: 1}]", "ranks.rank is missing"),
        ("--name --kind", "option --name needs a value"),
        ("--kind a -5度", "-5度 is not an option; write --NAME VALUE, or --NAME=VALUE where"),
        ("--", "-- is not an option"),
    ],
)
def test_a_bad_option_is_one_sentence(argv, says):
    with pytest.raises(UserError) as caught:
        read({"name": "x"}, *argv.split(maxsplit=1) if argv.count(" -") < 1 else argv.split())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_names_all_fields():
    text = format_help(Outer, default_values(Outer), "It  works.", {"--plan": "only say it"})
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "It works." in lines
    assert "--plan only say it" in lines
    assert "--name TEXT its name (required)" in lines
    assert "How wide it is:" in lines
    assert "--inner.adapter.rank INT width (required)" in lines
    assert "--kind {a,b} which (default: null)" in lines
