"""Exams from beginning to end on an untrained model."""

import pytest

from benchmarks.exams import write_cmmlu
from common.errors import UserError
from evaluation.exams.benchmarks import BENCHMARKS, Question
from evaluation.exams.take import take_benchmark
from evaluation.exams.tasks import subject_task

QUESTION = Question("谁写了《红楼梦》", ("曹雪芹", "罗贯中", "施耐庵", "吴承恩"), "A")


@pytest.fixture(scope="module")
def cmmlu(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cmmlu")
    write_cmmlu(folder, questions=2)
    return folder


def prompts(name: str, subject: str, shots: int, fits) -> tuple[list[str], list[str], object]:
    """Prompts and answers of a subject with one question, and its task."""
    splits = {split: [QUESTION] * 5 for split in BENCHMARKS[name].files}
    task = subject_task(BENCHMARKS[name], subject, shots, fits, splits)
    task.build_all_requests(limit=1, rank=0, world_size=1)
    arguments = [instance.args for instance in task.instances]
    return [a[0] for a in arguments], [a[1] for a in arguments], task


def test_the_prompt_of_each_exam():
    body = "谁写了《红楼梦》\nA. 曹雪芹\nB. 罗贯中\nC. 施耐庵\nD. 吴承恩\n"
    contexts, answers, _ = prompts("cmmlu", "chinese_literature", 1, lambda text: True)
    head = "以下是关于中国文学的单项选择题，请直接给出正确答案的选项。\n\n"
    assert contexts == [f"{head}{body}答案：A\n\n{body}答案："] * 4
    assert answers == ["A", "B", "C", "D"]
    contexts, answers, _ = prompts("ceval", "high_school_chinese", 0, lambda text: True)
    head = "以下是中国关于高中语文的单项选择题，请选出其中的正确答案。\n\n"
    assert contexts == [f"{head}{body}答案："] * 4
    contexts, answers, _ = prompts("mmlu", "world_religions", 1, lambda text: True)
    head = "The following are multiple choice questions (with answers) about world religions.\n\n"
    assert contexts == [f"{head}{body}Answer: A\n\n{body}Answer:"] * 4
    assert answers == [" A", " B", " C", " D"]


@pytest.mark.parametrize(("room", "shots"), [(10_000, 5), (260, 4), (120, 1), (90, 0)])
def test_solved_examples_are_left_out_until_a_prompt_fits(room, shots):
    contexts, _, task = prompts("cmmlu", "arts", 5, lambda text: len(text) <= room)
    assert contexts[0].count("答案：") == shots + 1
    assert contexts[0].startswith("以下是关于艺术学的") and len(contexts[0]) <= room
    assert (task.dropped_shots, task.cut_prompts) == (5 - shots, 0)


def test_a_question_that_never_fits_is_counted():
    contexts, _, task = prompts("cmmlu", "arts", 5, lambda text: False)
    assert contexts[0].count("答案：") == 1
    assert (task.dropped_shots, task.cut_prompts) == (5, 1)


def test_a_whole_exam_runs_to_its_end(model, cmmlu):
    result = take_benchmark("cmmlu", model, 1, cmmlu)
    assert len(result.subjects) == 67 and result.average.questions == 2 * 67
    assert [score.name for score in result.categories] == [
        "STEM", "humanities", "social science", "other", "China specific",
    ]  # fmt: skip
    mean = sum(score.accuracy for score in result.subjects) / 67
    assert result.average.accuracy == pytest.approx(mean)
    assert result.average.at_chance, "an untrained model knows nothing"
    assert result.dropped_shots and result.cut_prompts, "its context is 64 tokens"


def test_some_subjects(model, cmmlu):
    result, again = (
        take_benchmark("cmmlu", model, 0, cmmlu, ["arts", "virology"]) for _ in range(2)
    )
    assert result.subjects == again.subjects, "deterministic"
    assert [score.name for score in result.subjects] == ["arts", "virology"]
    assert result.note == "2 of 67 subjects" and result.dropped_shots == 0


def test_more_shots_than_solved_examples(model, cmmlu):
    with pytest.raises(UserError, match="agronomy: 6 shots asked for, but its dev file holds 5"):
        take_benchmark("cmmlu", model, 6, cmmlu)


def test_a_hub_that_cannot_be_reached(model, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("Couldn't reach\nthe Hub")

    monkeypatch.setattr("lm_eval.api.task.datasets.load_dataset", refuse)
    with pytest.raises(UserError, match=r"cannot fetch MMLU .*\(Couldn't reach the Hub\); copy"):
        take_benchmark("mmlu", model, 0)
