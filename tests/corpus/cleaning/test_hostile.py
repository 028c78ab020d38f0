"""Texts made to make a pattern slow or a rule fail: quadratic time would run into the timeout."""

import pytest

from corpus.cleaning.cleaner import Cleaner
from corpus.cleaning.registry import known_rules

N = 100_000
HOSTILE = {
    "spaces": " " * N,
    "lines": "\n" * N,
    "spaced lines": " \n" * N,
    "one letter": "a" * N,
    "letters and @": "a" * N + "@",
    "dots after @": "a@" + "a." * N,
    "@": "a@" * N,
    "digits": "1" * N,
    "digits and dashes": "139-" * N,
    "open tags": "<p " * N,
    "open attributes": "<p " + "=" * N,
    "open tag with spaces": "<p =" + " " * N,
    "open comments": "<!--" * N,
    "open scripts": "<script><style>" * N,
    "tags": "<p>  " * N,
    "entities": "&#" * N,
    "brackets": "【" * N,
    "addresses": "http://" * N,
    "www": "www." * N,
    "advertisement words": "最新章节小说网" * (N // 5),
    "votes": "求票" * N,
    "marks": "！？，" * N,
    "one mark": "。" * N,
    "colons": "微信：" * N,
    "addresses of machines": "1.1." * N,
    "nul": "\x00" * N,
    "joiners": "😀\u200d" * N,
    "surrogates": "\ud800" * N,
    "chinese": "春眠不觉晓，处处闻啼鸟。" * (N // 10),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", known_rules())
def test_every_rule_ends_on_hostile_text(name):
    for text in (*HOSTILE.values(), "", "\n"):
        result = Cleaner([{"rule": name}]).clean(text)
        assert result is None or isinstance(result, str)
