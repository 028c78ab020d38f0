"""The report of how many poems keep the rules, on a run that writes none."""

import json
import shutil

import pytest

from common.errors import UserError
from evaluation.poem_report import main
from evaluation.poem_stages import HEAD, TITLES, Stage
from rewards.answer import Answer, read_answers
from rewards.poem.copies import Copies

QUATRAIN = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
PROMPT = "写一首五言绝句，题目：登楼"


def test_a_row_counts_what_keeps_the_rules_and_what_is_copied():
    answers = [Answer(PROMPT, QUATRAIN), Answer(PROMPT, QUATRAIN[:12])]
    row = dict(zip(HEAD, Stage("sft", "300", "1.9", answers).row(Copies([QUATRAIN[12:17]], 5), 1)))
    assert row["form"] == row["all three"] == "50.0% (9.5 to 90.5)"
    assert row["copied"].startswith("50.0%")
    assert row["distinct-2"] == "1.000" and row["most frequent rhyme"] == "100.0%"


def test_the_report_has_a_row_a_stage_and_poems_on_fixed_titles(run, tasks, tmp_path, capsys):
    stage = tmp_path / "last"
    shutil.copytree(run.path, stage)
    recipe = stage / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8").replace("max_new_tokens: 100", "max_new_tokens: 4")
    recipe.write_text(text, encoding="utf-8")
    command = [str(stage), "--poems", str(tasks / "poems.jsonl"), "--tasks", str(tasks)]
    assert main([str(run.path), *command]) == 0
    report = (stage / "poems.md").read_text(encoding="utf-8")
    assert report in capsys.readouterr().out
    names = [line.split(" | ")[0] for line in report.splitlines() if line.startswith("| ")]
    assert len(names) == 4 and not names[-1].startswith("| the poets"), "head, rule, two runs"
    assert all(f"**{title}**" in report for title in TITLES)
    assert [answer.key["title"] for answer in read_answers(stage / "poems.jsonl")] == [
        "春日",
        "春夜",
    ]
    with pytest.raises(UserError, match="does not exist"):
        main([*command[:-1], str(tmp_path)])
    with pytest.raises(UserError, match="holds no poem"):
        poems = tmp_path / "none.jsonl"
        poems.write_text(json.dumps({"title": "x"}), encoding="utf-8")
        main([*command, "--poems", str(poems)])
