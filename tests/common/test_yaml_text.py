"""YAML: no key twice at any depth, numbers as people write them, and back again."""

import pytest

from common.yaml_text import read_yaml, write_flow, write_yaml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: {a: 1}\nmodel: {}\ntrain: {b: 2}\n", "train appears twice, in lines 1 and 3"),
        ("train:\n  seed: 1\n  seed: 1\n", "seed appears twice, in lines 2 and 3"),
        ("data:\n  sources:\n    - {path: a, path: b}\n", "path appears twice, in line 3"),
        ("a: &x {b: 1, 'b': 2}\nc: {<<: *x}\n", "b appears twice, in line 1"),
        ("a: [", "while parsing"),
        ("a: 2024-13-45", "month must be in 1..12"),
    ],
)
def test_bad_yaml_is_one_sentence(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)


def test_an_anchor_may_be_overridden():
    assert read_yaml("a: &x {b: 1}\nc: {<<: *x, b: 2}\nd: *x\n") == {
        "a": {"b": 1},
        "c": {"b": 2},
        "d": {"b": 1},
    }


@pytest.mark.parametrize(
    ("text", "value"), [("6e-4", 6e-4), ("1E5", 1e5), ("-2.5e+3", -2500.0), ("e5", "e5")]
)
def test_exponents_are_numbers(text, value):
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    "value", [["6e-4", 6e-4, "null", None, "是", "on", "1:30", 1e-8], {"a": {}}]
)
def test_what_is_written_is_read_back(value):
    assert read_yaml(write_yaml(value)) == value
    assert read_yaml(write_flow(value)) == value
    assert "\n" not in write_flow(value)
