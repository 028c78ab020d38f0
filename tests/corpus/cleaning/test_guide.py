"""docs/cleaning.md keeps its word: its list works, its table and its example are true."""

import inspect
import re

import pytest
import yaml

from benchmarks.cleaning import measure, recommended
from corpus.cleaning.cleaner import Cleaner
from corpus.cleaning.registry import RULES, Verdict, known_rules, make_rule, rule

GUIDES = ["docs/cleaning.md", "docs/cleaning_CN.md"]

PAGE = """\
<html><body><div class="nav">首页 &gt; 新闻 &gt; 正文</div>
<h1>某市举办２０２４年图书节</h1>
<p>　　本报讯&nbsp;某市图书节昨日开幕，吸引了上万名读者！！！！！！</p>
<p>　　主办方表示，详情可访问http://www.example.com/book?id=1，或致电010-62345678。</p>
<p>　　主办方表示，详情可访问http://www.example.com/book?id=1，或致电010-62345678。</p>
<p>责任编辑：张三</p><p>分享到：微博 微信</p>
<script>var a = "<p>";</script>
<div>版权所有 © 2024 某某网</div></body></html>
"""


@pytest.fixture(params=GUIDES)
def guide(request, repo):
    return (repo / request.param).read_text(encoding="utf-8")


def test_a_page_becomes_its_text():
    assert Cleaner(recommended()).clean(PAGE) == (
        "某市举办2024年图书节\n"
        "本报讯 某市图书节昨日开幕，吸引了上万名读者！！！\n"
        "主办方表示，详情可访问，或致电。"
    )


@pytest.mark.parametrize(
    "text",
    [
        "新华社北京1月1日电（记者张三）1998年新年钟声敲响之际，各地群众以多种形式喜迎新年。\n（完）",
        "一鸣惊人：比喻平时没有突出的表现，一下子做出惊人的成绩。\n出处：《韩非子·喻老》",
        "却说曹操引军追赶，忽见山后一军杀出，为首大将乃赵云也。操大惊，勒马便回。",
        "宿舍很干净，服务员态度也好，就是早餐品种少了点……下次还会再来！",
    ],
)
def test_good_text_stays_as_it_is(text):
    assert Cleaner(recommended()).clean(text) == text


def test_the_guide_shows_the_recommended_list(guide):
    block = re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)[1]
    assert yaml.safe_load(block)["data"]["cleaning"] == recommended()


def test_the_table_names_every_rule_and_default(guide):
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ", guide.replace("| |", "|  |"), re.MULTILINE)
    shown = {
        name: yaml.safe_load("{" + parameters.replace("`", "") + "}") for name, parameters in rows
    }
    assert list(shown) == list(known_rules())
    for name, function in known_rules().items():
        _, *parameters = inspect.signature(function).parameters.values()
        assert shown[name] == {each.name: each.default for each in parameters}


def test_the_example_is_a_rule(guide):
    code = re.search(r"```python\n(.*?)```", guide, re.DOTALL)[1]
    try:
        exec(code, {"rule": rule, "Verdict": Verdict})
        assert make_rule({"rule": "sentence_end", "marks": "。"})("完。") == "完。"
        assert make_rule({"rule": "sentence_end"})("完") is None
    finally:
        RULES.pop("sentence_end", None)


def test_benchmark_row():
    row, cleaner = measure("mine", ["好" * 9, "春眠不觉晓，处处闻啼鸟。"])
    assert row.startswith("| mine | 2 | 50.0% | 57.1% | ")
    assert (cleaner.report.documents, cleaner.report.kept) == (2, 1)
