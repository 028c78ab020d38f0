"""The three projects' files, and what can be wrong with them."""

import pytest

from benchmarks.exams import write_cmmlu
from common.errors import UserError
from evaluation.exams.benchmarks import BENCHMARKS, Question
from evaluation.exams.folder import choose_subjects, read_questions

ASKED = Question("水的化学式，是“什么”", ("H2O", "CO2", "O2", "N2"), "A")
ROWS = {
    "cmmlu": (
        ",Question,A,B,C,D,Answer\n0,水的化学式，是“什么”,H2O,CO2,O2,N2,A\n",
        {"dev": "dev/virology.csv", "test": "test/virology.csv"},
        "virology",
    ),
    "ceval": (
        "id,question,A,B,C,D,answer,explanation\n0,水的化学式，是“什么”,H2O,CO2,O2,N2,A,\n",
        {"dev": "dev/law_dev.csv", "val": "val/law_val.csv"},
        "law",
    ),
    "mmlu": (
        "水的化学式，是“什么”,H2O,CO2,O2,N2,A\n",
        {"dev": "dev/virology_dev.csv", "test": "test/virology_test.csv"},
        "virology",
    ),
}


def write(folder, name: str, text: str | None = None) -> str:
    """The one subject of an exam that the tests know; returns its name."""
    content, files, subject = ROWS[name]
    for file in files.values():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text or content, encoding="utf-8")
    return subject


@pytest.mark.parametrize("name", ROWS)
def test_each_project_publishes_in_its_own_form(tmp_path, name):
    subject = write(tmp_path, name)
    questions = read_questions(BENCHMARKS[name], tmp_path, [subject])
    assert questions == {subject: {split: [ASKED] for split in ROWS[name][1]}}


def test_quotes_commas_and_line_breaks_belong_to_the_text(tmp_path):
    subject = write(tmp_path, "mmlu", '"a, ""b""\nc",1,2,3,4,D\n')
    (question,) = read_questions(BENCHMARKS["mmlu"], tmp_path, [subject])[subject]["test"]
    assert question == Question('a, "b"\nc', ("1", "2", "3", "4"), "D")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("cmmlu", "题目,A\n", "virology.csv has no column 'Question'; CMMLU has the columns"),
        ("cmmlu", ROWS["cmmlu"][0] + "1,问,甲\n", "row 3 has 3 cells where 7 belong; correct"),
        ("cmmlu", ROWS["cmmlu"][0] + "1,问,1,2,3,4,E\n", "row 3 needs .* but it is 'E'; correct"),
        ("mmlu", "问,1,2,3,4,A,B\n", "row 1 has 7 cells where 6 belong"),
        ("ceval", "id,question,A,B,C,D,answer,explanation\n", "holds no question"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path, name, text, says):
    subject = write(tmp_path, name, text)
    with pytest.raises(UserError, match=says) as error:
        read_questions(BENCHMARKS[name], tmp_path, [subject])
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_utf8(tmp_path):
    subject = write(tmp_path, "cmmlu")
    (tmp_path / "test" / f"{subject}.csv").write_bytes("问题".encode("gb18030"))
    with pytest.raises(UserError, match="virology.csv is not a UTF-8 csv file"):
        read_questions(BENCHMARKS["cmmlu"], tmp_path, [subject])


def test_a_missing_subject(tmp_path):
    write_cmmlu(tmp_path, questions=2)
    subjects = choose_subjects(BENCHMARKS["cmmlu"], None)
    assert len(subjects) == 67
    assert len(read_questions(BENCHMARKS["cmmlu"], tmp_path, subjects)) == 67
    (tmp_path / "test" / "virology.csv").unlink()
    with pytest.raises(
        UserError, match="lacks test/virology.csv; CMMLU has a file for each subject"
    ):
        read_questions(BENCHMARKS["cmmlu"], tmp_path, subjects)
    with pytest.raises(UserError, match="nowhere, does not exist"):
        read_questions(BENCHMARKS["cmmlu"], tmp_path / "nowhere", subjects)


def test_an_unknown_subject():
    with pytest.raises(UserError, match="C-Eval has no subject 'lawn'; did you mean law?"):
        choose_subjects(BENCHMARKS["ceval"], ["law", "lawn"])
    assert choose_subjects(BENCHMARKS["ceval"], ["law", "law"]) == ["law"]


def test_categories_hold_every_subject():
    for benchmark in BENCHMARKS.values():
        held = set().union(*benchmark.categories().values())
        assert held == set(benchmark.subjects())
    sizes = {name: len(b.subjects()) for name, b in BENCHMARKS.items()}
    assert sizes == {"cmmlu": 67, "ceval": 52, "mmlu": 57}
    assert len(BENCHMARKS["cmmlu"].categories()["China specific"]) == 15
