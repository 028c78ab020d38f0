"""post_train.py by its commands: dialogues, resuming, a chat, and what it refuses."""

import json
import subprocess
import sys

import pytest

from recipe import REPO
from tests.evaluation.cases import make_run

CONFIG = REPO / "configs" / "debug-sft.yaml"


@pytest.fixture(scope="module")
def options(tmp_path_factory, graph_mode, run_command):
    """Options of a run that is trained further from an untrained debug run, its data made."""
    folder = tmp_path_factory.mktemp("sft")
    base = make_run(folder)
    options = [
        *("--config", CONFIG, "--out_dir", folder / "tuned", "--train.init_from", base.path),
        *("--data.dir", folder / "dialogues", "--train.max_steps", "6"),
        *("--train.save_interval", "3", "--train.eval_interval", "3", "--train.log_interval", "1"),
    ]
    done = run_command("data_process.py", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return options


def metrics(run) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_dialogues_are_learned_and_answered(options, run_command):
    done = run_command("post_train.py", *options)
    assert done.returncode == 0, done.stderr
    run = options[3] / "debug-sft"
    assert "padding" in (run / "train.log").read_text(encoding="utf-8")
    losses = [record["loss"] for record in metrics(run) if "loss" in record]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert (run / "chat_template.json").is_file()
    longer = [*options, "--train.max_steps", "8"]
    done = run_command("post_train.py", *longer)
    assert done.returncode == 0 and "continuing from" in done.stdout + done.stderr
    assert [record["step"] for record in metrics(run) if "loss" in record] == list(range(1, 9))
    chat = subprocess.run(
        [sys.executable, REPO / "eval_pretrain.py", "--run", run, "--chat"],
        input="你好\n/quit\n", capture_output=True, encoding="utf-8", cwd=REPO, timeout=200,
        check=False,
    )  # fmt: skip
    assert chat.returncode == 0, chat.stderr


@pytest.mark.parametrize(
    "script, more, sentence",
    [
        ("pretrain.py", (), "objective.kind is sft, which trains a model further; run post_train"),
        ("post_train.py", ("--train.init_from", "null"), "train.init_from is null; name the model"),
        (
            "post_train.py",
            ("--objective.group", "1"),
            "objective.group is unknown for",
        ),
        ("post_train.py", ("--objective.kind", "grpo"), "objective.kind is grpo, which reads"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options, run_command, script, more, sentence):
    done = run_command(script, *options, *more)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and sentence in done.stderr
