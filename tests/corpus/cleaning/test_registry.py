import inspect
import re

import pytest

from common.errors import UserError
from corpus.cleaning.registry import known_rules, make_rule

ALL = known_rules()


@pytest.mark.parametrize("name", ALL)
def test_every_rule_is_documented_and_works_as_it_stands(name):
    assert ALL[name].__doc__
    text = "今天天气很好，我们去公园散步。\n明天也许会下雨，记得带上雨伞。"
    assert make_rule({"rule": name})(text) == text, "clean text stays as it is"


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_is_a_keyword_with_a_type_and_a_default(name):
    text, *parameters = inspect.signature(ALL[name]).parameters.values()
    assert text.name == "text" and text.annotation is str
    for parameter in parameters:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is not inspect.Parameter.empty
        assert parameter.annotation is not inspect.Parameter.empty


def test_parameters_reach_the_rule():
    assert make_rule({"rule": "length", "min": 3})("春眠") is None
    assert make_rule({"rule": "length", "min": 2})("春眠") == "春眠"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"rule": "lenght"}, "'lenght' is unknown, did you mean length; the rules are advert"),
        ({"rule": "zzz"}, "rule 'zzz' is unknown; the rules are advertisements, boilerplate, "),
        ({"rule": "length", "mni": 3}, "'mni' is unknown, did you mean min of rule length; its "),
        ({"rule": "width", "min": 3}, "parameter 'min' is unknown of rule width; it has none"),
        ({"rule": "length", "min": "3"}, "length: min is '3'; it must be a whole number"),
        ({"rule": "length", "min": True}, "length: min is True; it must be a whole number"),
        ({"rule": "length", "min": -1}, "length: min is -1; it must be at least 0"),
        ({"rule": "length", "min": None}, "length: min is None; it must be a whole number"),
        ({"rule": "chinese_share", "min": 30}, "min is 30; it must be from 0 to 1"),
        ({"rule": "chinese_share", "min": float("nan")}, "min is nan; it must be from 0 to 1"),
        ({"rule": "urls", "replacement": 3}, "urls: replacement is 3; it must be a text"),
        ({"min": 3}, "{'min': 3} names no rule; write entries such as {rule: length, min: 10}"),
        ({"rule": ["length"]}, "names no rule"),
        ("length", "'length' names no rule"),
        (None, "None names no rule"),
    ],
)
def test_wrong_entries_are_explained(entry, sentence):
    with pytest.raises(UserError, match="^data.cleaning: .*" + re.escape(sentence)):
        make_rule(entry)


def test_whole_numbers_pass_as_shares():
    assert make_rule({"rule": "chinese_share", "min": 1})("春眠") == "春眠"
