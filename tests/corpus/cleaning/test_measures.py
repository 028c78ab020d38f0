import random

import pytest

from corpus.cleaning.measures import chinese_share, garbled, language, length, repeated_ngrams

NEWS = "中国政府今天宣布，将继续执行改革开放的政策，推动经济健康发展，改善人民的生活水平。"


def test_length():
    assert length("春眠不觉晓", min=5, max=5) == "春眠不觉晓"
    assert length("春眠不觉晓", min=6) is None
    assert length("春眠不觉晓", min=0, max=4) is None
    assert length("春" * 10_000) is not None, "no upper limit unless it is given"


def test_chinese_share():
    assert chinese_share("中文 abc", min=0.4) is not None, "spaces do not count"
    assert chinese_share("中文 abc", min=0.41) is None
    assert chinese_share("Stayed here many times in the past.") is None
    assert chinese_share("𠀀䶮〇", min=1.0) is not None, "rare characters are Chinese too"
    assert chinese_share("，。！", min=0.1) is None


@pytest.mark.parametrize(
    "text", ["锟斤拷锟斤拷你好", "烫烫烫烫", "羆ぇ\ue5ee\ue174び", "\ufffd" * 9]
)
def test_garbled(text):
    assert garbled(text) is None


def test_a_broken_character_in_a_long_text_is_not_garbled():
    assert garbled(NEWS + "\ufffd") is not None


@pytest.mark.parametrize(
    "text",
    [
        *("价廉物美" * 8, "哈" * 40, "外观漂亮，电池很牛！" * 4, "😀" * 30),
        "\n".join(["本接口用于查询实例列表信息。"] * 5 + ["最后一行"]),
    ],
)
def test_repeated_ngrams(text):
    assert repeated_ngrams(text) is None


def test_repeated_ngrams_keeps_prose():
    assert repeated_ngrams(NEWS) == NEWS
    assert repeated_ngrams("短") == "短"
    assert repeated_ngrams("") == ""


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 10, 13])
def test_repeated_ngrams_counts_exactly(n):
    text = "".join(random.Random(n).choices("春夏秋冬", k=400)) + "梅兰竹菊" * 30
    pieces = [text[i : i + n] for i in range(len(text) - n + 1)]
    share = 1 - len(set(pieces)) / len(pieces)
    assert repeated_ngrams(text, n=n, max=share + 1e-9) == text
    assert repeated_ngrams(text, n=n, max=max(share - 1e-3, 0.0)) is None or share == 0


def test_language():
    assert language(NEWS) == NEWS
    assert language("これは日本語の文章です。今日は天気がいいですね。") is None
    assert language("This is an English sentence.") is None
    assert language("This is an English sentence.", code="en", min=0.5) is not None


def test_of_a_long_document_the_beginning_decides(monkeypatch):
    monkeypatch.setattr("corpus.cleaning.measures.MEASURED_CHARS", len(NEWS))
    for apply in (chinese_share, repeated_ngrams, garbled):
        assert apply(NEWS + "a" * 500 + "\ufffd" * 500) is not None
        assert apply("\ufffd" * len(NEWS) + NEWS) is None
