import opencc
import pytest

from corpus.cleaning.characters import (
    control_characters,
    emoji,
    punctuation_runs,
    simplified,
    whitespace,
    width,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\ufeff春\u200b眠\x00不\x1b觉\x7f晓\xad", "春眠不觉晓"),
        ("一\r\n二\r三\x0b四\x0c五\x85六\u2028七\u2029八", "一\n二\n三\n四\n五\n六\n七\n八"),
        ("制表符\t留下", "制表符\t留下"),
        ("处处\ue5e5闻\ufffd啼\ud800鸟\U0010ffff", "处处闻啼鸟\U0010ffff"),
        ("\u202e反\u2066向\u200f", "反向"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("生僻字𠀀䶮〇，日本語、한국어é", "生僻字𠀀䶮〇，日本語、한국어é"),
    ],
)
def test_control_characters(text, clean):
    assert control_characters(text) == clean
    clean.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("１９９８年，ＣＰＵ占３．５％", "1998年，CPU占3.5%"),
        ("全角　空格\xa0和", "全角 空格 和"),
        ("“你好！”（他说：走吧？）；～", "“你好！”（他说：走吧？）；～"),
        ("｢半角｣､日文｡", "「半角」、日文。"),
        ("ａ＋ｂ＝ｃ／ｄ＊＜ｅ＞＠＃＆＿", "a+b=c/d*<e>@#&_"),
    ],
)
def test_width(text, clean):
    assert width(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  春 \t 眠\u3000\u3000不觉晓  ", "春 眠 不觉晓"),
        ("　　第一段。  \n\n\n\n　　第二段。\n第三段。\n", "第一段。\n\n第二段。\n第三段。"),
        ("一\n \t\n \n二", "一\n\n二"),
        (" \n ", ""),
        ("二军远来  ，只宜 坚守 。", "二军远来，只宜 坚守。"),
    ],
)
def test_whitespace(text, clean):
    assert whitespace(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("太好了！！！！！！", "太好了！！！"),
        ("真的吗？！？！？！？！", "真的吗？！？！？！"),
        ("他说…………好吧", "他说……好吧"),
        ("上海———最大的城市", "上海——最大的城市"),
        ("等等...好", "等等...好"),
        ("=========", "==="),
        ("……————", "……——"),
        ("哈哈哈哈哈哈 88888888", "哈哈哈哈哈哈 88888888"),
    ],
)
def test_punctuation_runs(text, clean):
    assert punctuation_runs(text) == clean


def test_punctuation_runs_to_one():
    assert punctuation_runs("好！！！……", max=1) == "好！……"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("好😀👍🏽棒", "好棒"),
        ("一家👨‍👩‍👧人🇨🇳", "一家人"),
        ("喜欢❤️下雨☔1️⃣⭐", "喜欢下雨1"),
        ("★五星☎电话→〇①©®™", "★五星☎电话→〇①©®™"),
    ],
)
def test_emoji(text, clean):
    assert emoji(text) == clean


def test_emoji_replaced():
    assert emoji("好😀", replacement="[表情]") == "好[表情]"


def test_traditional_becomes_simplified():
    assert (
        simplified("對於公寓式酒店，一般期望也不會太高。") == "对于公寓式酒店，一般期望也不会太高。"
    )
    assert simplified("頭髮和出發") == "头发和出发", "words before characters"


@pytest.mark.parametrize(
    "text",
    ["作家萧乾在这里", "import_cover 表示覆盖导入，会删除首条规则", "孙乾、简雍准备庆喜筵席"],
)
def test_simplified_text_is_not_spoilt(text):
    assert opencc.OpenCC("t2s").convert(text) != text, "the table alone would change it"
    assert simplified(text) == text
