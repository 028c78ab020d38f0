import json

import pytest

from common.errors import UserError
from corpus.cleaning.cleaner import Cleaner
from corpus.cleaning.report import MAX_EXAMPLES, CleaningReport

RULES = [{"rule": "urls"}, {"rule": "length", "min": 4}]
TEXTS = ["春眠不觉晓", "见http://a.cn/b", "处处闻啼鸟www.a.cn", "夜", "http://a.cn", "花落知多少"]


def cleaned(texts, rules=RULES):
    cleaner = Cleaner(rules)
    return [cleaner.clean(text) for text in texts], cleaner.report


def test_rules_apply_in_order_and_are_counted():
    texts, report = cleaned(TEXTS)
    assert texts == ["春眠不觉晓", None, "处处闻啼鸟", None, None, "花落知多少"]
    urls, length = report.rules
    assert (urls.name, length.name) == ("urls", "length min=4")
    assert (urls.documents, urls.changed, urls.dropped) == (6, 2, 1), "nothing left is dropped"
    assert (urls.characters, urls.removed, urls.dropped_characters) == (49, 21, 11)
    assert (length.documents, length.changed, length.dropped) == (5, 0, 2)
    assert (length.characters, length.removed, length.dropped_characters) == (17, 0, 2)
    assert (report.documents, report.kept) == (6, 3)
    assert urls.characters - urls.removed - urls.dropped_characters == length.characters


def test_examples_show_the_change_and_the_beginning_of_what_was_dropped():
    _, report = cleaned(["见http://a.cn/b", "一\n二"])
    assert report.rules[0].examples == ["见http://a.cn/b -> 见"]
    assert report.rules[1].examples == ["dropped 见", r"dropped 一\n二"]
    _, report = cleaned(["春" * 100 + "www.a.cn" + "秋" * 100, "\x00\u202e" + "夏" * 100, "冬"])
    (example,) = report.rules[0].examples
    assert example.startswith("…" + "春" * 15 + "www.a.cn秋") and len(example) < 140
    assert example.isprintable()


def test_no_rules_keep_everything():
    texts, report = cleaned(["", " "], rules=[])
    assert texts == ["", " "]
    assert report.to_json() == {"rules": []}
    assert report.format().startswith("rule")


def test_reports_add_up_like_one_run():
    whole = cleaned(TEXTS * 3)[1]
    parts = [cleaned(texts)[1] for texts in (TEXTS, TEXTS, TEXTS)]
    assert parts[0] + parts[1] + parts[2] == parts[0] + (parts[1] + parts[2]) == whole
    assert all(len(counts.examples) <= MAX_EXAMPLES for counts in whole.rules)


def test_reports_of_other_rules_do_not_add_up():
    with pytest.raises(ValueError, match="different rules: length min=4 and length min=5"):
        Cleaner(RULES).report + Cleaner([RULES[0], {"rule": "length", "min": 5}]).report
    with pytest.raises(ValueError, match="different lists"):
        Cleaner(RULES).report + Cleaner([]).report


def test_report_survives_json():
    report = cleaned(TEXTS)[1]
    assert CleaningReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_table_for_people():
    lines = cleaned(TEXTS)[1].format().splitlines()
    assert lines[0].split() == [
        *("rule", "documents", "changed", "dropped", "characters", "removed", "in", "dropped")
    ]
    assert lines[1].split() == ["urls", "6", "2", "1", "49", "21", "11"]
    assert len({len(line) for line in lines[:3]}) == 1, "columns stand below each other"
    assert "urls: 见http://a.cn/b -> 见" in lines


def test_an_unknown_rule_stops():
    with pytest.raises(UserError, match="did you mean urls"):
        Cleaner([{"rule": "url"}])
