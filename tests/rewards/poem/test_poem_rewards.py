import pytest

from rewards.answer import Answer
from rewards.poem.copies import Copies
from rewards.poem.request import request_of
from rewards.poem.variety import distinct_2, rhyme_entropy, top_rhyme
from rewards.registry import find_reward

QUATRAIN = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
PROMPT = "写一首五言绝句，题目：登楼"


def score(name, completion, prompt=PROMPT, **key):
    return find_reward(f"poem_{name}").score(prompt, completion, key)


@pytest.mark.parametrize("name", ["form", "tones", "rhyme", "rules", "repetition", "title"])
def test_a_poem_that_keeps_all_rules_has_full_marks(name):
    assert score(name, QUATRAIN) == 1.0
    assert score(name, "", "你好") == 0.0


@pytest.mark.parametrize(
    ("completion", "form"),
    [
        (QUATRAIN[:12], 0.25),
        (QUATRAIN + "人生", 0.5),
        (QUATRAIN.replace("目", ""), 0.75),
        (QUATRAIN.replace("目", "x"), 0.5),
        ("", 0.0),
    ],
)
def test_what_is_out_of_form_gets_no_other_marks(completion, form):
    assert score("form", completion) == form
    assert (
        score("tones", completion) == score("rhyme", completion) == score("title", completion) == 0
    )


def test_tones_and_rhyme_are_dense():
    assert score("tones", QUATRAIN.replace("里", "山")) == pytest.approx(0.9)  # 穷 is level too
    assert score("rhyme", QUATRAIN.replace("楼", "山")) == 0.0
    assert score("rules", QUATRAIN.replace("楼", "山")) == 0.0


def test_one_character_for_all_rhymes_is_no_rhyme():
    assert score("rhyme", QUATRAIN.replace("楼", "流")) == 0.0


@pytest.mark.parametrize(("repeated", "value"), [(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.0), (9, 0.0)])
def test_repetition(repeated, value):
    characters = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往"
    text = "天" * repeated + characters[: 20 - repeated]
    completion = "，".join(text[i : i + 5] for i in range(0, 20, 5))
    assert score("repetition", completion) == (1.0 if repeated < 2 else value) or repeated == 1


def test_titles():
    assert score("title", QUATRAIN, title="春日", form="五言绝句") == 1.0
    assert score("title", QUATRAIN, title="春梦", form="五言绝句") == 0.0
    assert score("title", QUATRAIN, title="其一", form="五言绝句") == 1.0


def test_what_is_asked_stands_in_the_key_or_the_prompt():
    asked = request_of(Answer("七言绝句：春日", "一二，三四。"))
    assert (asked.form.name, asked.title, asked.lines) == ("七言绝句", "春日", ["一二", "三四"])
    asked = request_of(Answer("x", "", {"form": "五言律诗", "title": "秋"}))
    assert (asked.form.name, asked.title, asked.lines) == ("五言律诗", "秋", [])
    assert request_of(Answer("你好", "")) is None


def poem(title, *rhymes, fill="甲乙丙丁"):
    lines = [fill, fill + rhymes[0], fill, fill + rhymes[1]]
    return Answer("", "，".join(lines), {"form": "五言绝句", "title": title})


def test_a_rhyme_that_all_titles_share_costs():
    answers = [poem("春", "清", "明"), poem("夏", "清", "城"), poem("秋", "清", "声")]
    variety = find_reward("poem_rhyme_variety").score_all
    assert variety(answers) == [0.5, 0.5, 0.5]
    # Answers to the same title are not held against each other.
    assert variety([poem("春", "清", "明"), poem("春", "清", "明")]) == [1.0, 1.0]
    assert variety([*answers, Answer("", "x", {})])[-1] == 0.0
    few = [poem("春", "清", "明")] + [poem(str(n), "流", "楼") for n in range(7)]
    assert variety([*few, poem("冬", "清", "秋")])[0] == pytest.approx((1 - 0.125 / 0.25 + 1) / 2)


def test_words_that_all_titles_share_cost():
    variety = find_reward("poem_word_variety").score_all
    same = [poem("春", "清", "明"), poem("夏", "流", "楼")]
    other = [poem("春", "清", "明"), poem("夏", "流", "楼", fill="子丑寅卯")]
    assert variety(same) == [0.0, 0.0] and variety(other) == [1.0, 1.0]


def test_measures_of_a_set():
    answers = [poem("春", "清", "明"), poem("夏", "清", "城")]
    assert distinct_2(answers) == 6 / 28
    assert rhyme_entropy(answers) == 1.5
    assert top_rhyme(answers) == 1.0
    assert distinct_2([Answer("", "")]) == rhyme_entropy([]) == top_rhyme([]) == 0.0


def test_copies():
    copies = Copies(["床前明月光疑是地上霜", "短"], length=4)
    assert copies.has("看明月光疑心") and not copies.has("明月光啊") and not copies.has("月光")
    assert not Copies([]).has("床前明月光疑是地上霜")
