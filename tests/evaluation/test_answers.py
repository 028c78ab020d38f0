"""Answers of a run to held-out tasks."""

import dataclasses
import shutil

import pytest

from chat.template import ChatTemplate
from common.errors import UserError
from evaluation.answer_file import main
from evaluation.answers import answer_tasks
from rewards.answer import read_answers
from runs.run import Run

OPTIONS = ["--eval.max_new_tokens", "6", "--eval.temperature", "1"]


def test_a_base_model_continues_the_plain_text(run, tasks, tmp_path, capsys):
    path = tmp_path / "answers.jsonl"
    command = [str(run.path), str(path), "--tasks", str(tasks), *OPTIONS]
    assert main(command) == 0 and "2 answers of" in capsys.readouterr().out
    answers = read_answers(path)
    assert [answer.key["title"] for answer in answers] == ["春日", "春夜"]
    assert answers[0].prompt == "写一首五言绝句，题目：春日"
    assert answers[0].key["plain"] == "五言绝句：春日\n"
    main([*command, "--limit", "1"])
    assert read_answers(path) == answers[:1], "an answer does not depend on those beside it"


def test_a_run_with_a_template_is_asked_by_it(run, tmp_path):
    folder = tmp_path / "chat"
    shutil.copytree(run.path, folder)
    ChatTemplate.for_tokenizer(run.tokenizer(), "question_answer").save(folder)
    key = {"prompt": [{"role": "user", "content": "天"}], "title": "天"}
    with pytest.raises(UserError, match="has no plain text to continue"):
        answer_tasks(run, [key])
    chat = Run.open(folder, [*OPTIONS[:3], "0"])
    (answer,) = answer_tasks(chat, [key])
    plain = Run.open(run.path, [*OPTIONS[:3], "0"])
    (same,) = answer_tasks(plain, [key | {"plain": "问：天\n答：\n"}])
    assert answer.prompt == "天" and answer.key == {"title": "天"}
    assert dataclasses.replace(answer, key={}) == dataclasses.replace(same, key={})


def test_other_data_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        main([str(run.path), str(tmp_path / "x"), "--tasks", str(tmp_path)])
