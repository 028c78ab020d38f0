from pathlib import Path

import pytest

from common.errors import UserError
from evaluation.options import ExamOptions, parse_options


def test_nothing_asks_for_the_whole_evaluation_of_the_newest_run():
    options = parse_options([])
    assert (options.run, options.prompts, options.overrides) == (None, None, [])
    assert not options.only_play


def test_prompts_come_from_the_command_line_and_from_a_file(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("\ufeff床前明月光，\n\n 却说 \n", encoding="utf-8")
    argv = ["--prompt", "a", "b", "--prompt=-c", "--prompts_file", str(file)]
    options = parse_options(argv)
    assert options.prompts == ["a", "b", "-c", "床前明月光，", " 却说 "]
    assert options.only_play


def test_interactive_only_plays():
    assert parse_options(["--interactive"]).only_play


def test_the_rest_is_for_the_recipe():
    argv = ["--eval.top_k", "5", "--run", "out/x", "--data.dir=d"]
    options = parse_options(argv)
    assert str(options.run) == "out/x"
    assert options.overrides == ["--eval.top_k", "5", "--data.dir=d"]


def test_help_names_every_way_to_choose(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_options(["--help"], description="Evaluate.")
    text = capsys.readouterr().out
    assert not stopped.value.code
    assert "only those prompts are continued" in text
    assert "--eval.temperature         divides the logits; 0: greedy" in text


@pytest.mark.parametrize("argv", [["--prompt"], ["--run"], ["--prompts_file"]])
def test_a_missing_value_is_one_sentence(argv):
    with pytest.raises(UserError, match=f"{argv[0]}: expected"):
        parse_options(argv)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read prompts from .*: No such file"),
        (b"\n \n", "holds no prompt"),
        ("月".encode("gb18030"), "is not UTF-8 text"),
    ],
)
def test_a_bad_file_of_prompts_is_one_sentence(tmp_path, content, says):
    file = tmp_path / "prompts.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=says):
        parse_options(["--prompts_file", str(file)])


def test_measurements():
    argv = ["--text", "a=x/y.txt", "b.txt", "--exam", "cmmlu", "idioms", "--shots", "0"]
    options = parse_options([*argv, "--subjects", "law", "arts"])
    assert options.texts == [("a", Path("x/y.txt")), ("b", Path("b.txt"))]
    assert options.exams == ExamOptions(["cmmlu", "idioms"], None, 0, ["law", "arts"])
    assert options.only_measure and not options.only_play
    assert not parse_options([]).only_measure
    assert parse_options(["--compare", "out/a", "out/b"]).compare == [Path("out/a"), Path("out/b")]


def test_a_folder_may_hold_several_exams(tmp_path):
    options = ExamOptions(["cmmlu", "mmlu"], tmp_path, 5, None)
    (tmp_path / "mmlu").mkdir()
    assert options.folder("mmlu") == tmp_path / "mmlu"
    assert options.folder("cmmlu") == tmp_path
    assert ExamOptions(["mmlu"], None, 5, None).folder("mmlu") is None


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--exam", "gaokao"], "invalid choice: 'gaokao' .*idioms.*cmmlu.*ceval.*mmlu"),
        (["--exam"], "--exam: expected"),
        (["--prompt", "-5度"], "begins with a dash is written --prompt=VALUE"),
        (["--shots", "-1"], "--shots is -1; it must not be negative"),
        (["--shots", "two"], "--shots: invalid int value: 'two'"),
    ],
)
def test_a_wrong_measurement_is_one_sentence(argv, says):
    with pytest.raises(UserError, match=says):
        parse_options(argv)
