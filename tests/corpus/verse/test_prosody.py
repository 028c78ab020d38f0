import pytest

from corpus.verse.forms import FORMS, form_of, join_lines, split_lines
from corpus.verse.prosody import rhyme_rules, scan, tone_rules
from corpus.verse.table import BOTH, LEVEL, OBLIQUE, CharacterTable, character_table

# 王之涣《登鹳雀楼》, 杜牧《山行》, 王维《山居秋暝》: regulated verse of the handbooks.
REGULATED = [
    "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
    "远上寒山石径斜，白云生处有人家。停车坐爱枫林晚，霜叶红于二月花。",
    "空山新雨后，天气晚来秋。明月松间照，清泉石上流。竹喧归浣女，莲动下渔舟。随意春芳歇，王孙自可留。",
]
# Tones written out: 平 is a level and 仄 an oblique character of a table for tests.
TABLE = CharacterTable({"平": LEVEL, "仄": OBLIQUE, "通": BOTH}, {"平": 0, "通": 0, "仄": 1})
KEPT = ["仄仄平平仄", "平平仄仄平", "平平平仄仄", "仄仄仄平平"]


@pytest.mark.parametrize("text", REGULATED)
def test_verse_of_the_handbooks_keeps_all_rules(text):
    lines = split_lines(text)
    found = scan(lines, form_of(lines), character_table())
    assert found.tones and found.rhyme
    assert join_lines(lines) == text


def broken(line: int, place: int, character: str) -> list[bool]:
    """The rules of tones of KEPT with one character changed."""
    lines = [list(line) for line in KEPT]
    lines[line][place] = character
    return list(tone_rules(["".join(line) for line in lines], FORMS["五言绝句"], TABLE))


@pytest.mark.parametrize(
    ("line", "place", "character", "n_broken"),
    [
        (0, 0, "平", 0),  # the first and third characters are free
        (0, 1, "平", 2),  # 二四 and 对
        (0, 3, "仄", 1),
        (1, 1, "仄", 3),  # 二四, 对 and 粘
        (1, 4, "仄", 1),  # an even line ends level
        (2, 4, "平", 1),  # a later odd line ends oblique
        (0, 4, "平", 0),  # the first line is free
        (1, 1, "通", 0),
        (1, 1, "字", 0),  # not in the table
    ],
)
def test_each_rule_of_tones(line, place, character, n_broken):
    rules = broken(line, place, character)
    assert len(rules) == 4 + 3 + 3
    assert rules.count(False) == n_broken


def test_a_seven_character_line_has_two_pairs():
    lines = ["平平" + line for line in KEPT]
    rules = list(tone_rules(lines, FORMS["七言绝句"], TABLE))
    assert len(rules) == 8 + 3 + 3


def test_rhyme_needs_a_known_group_and_new_characters():
    table = CharacterTable({}, {"流": 0, "楼": 0, "山": 1})
    quatrain = ["一", "二流", "三", "四楼"]
    assert list(rhyme_rules(quatrain, table)) == [True]
    for last in "流山字":
        assert list(rhyme_rules([*quatrain[:3], last], table)) == [False]
    assert list(rhyme_rules(["一", "字", "三", "字"], table)) == [False]


def test_forms_are_recognised_by_their_lines():
    assert form_of(split_lines(REGULATED[0])).name == "五言绝句"
    assert form_of(split_lines(REGULATED[2])).name == "五言律诗"
    assert form_of(["五个字一行"] * 3) is None
    assert form_of(["白日依山□"] * 4) is None
    assert form_of(["白日依山尽", "黄河入海流", "欲穷千里目", "更上楼"]) is None


def test_the_table_tells_tones_and_rhymes_as_the_poets_had_them():
    table = character_table()
    assert all(table.tones[c] == OBLIQUE for c in "日月白雪国")  # the entering tone
    assert all(table.tones[c] == LEVEL for c in "山风天人花")
    assert table.tones["看"] == table.tones["过"] == BOTH
    assert table.rhyme("斜") == table.rhyme("家") == table.rhyme("花")  # not so in today's speech
    assert table.rhyme("东") != table.rhyme("冬") and table.rhyme("龘") is None
    assert CharacterTable.from_text(table.to_text("x")) == table
