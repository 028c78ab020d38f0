"""pretrain.py as a user runs it: from nothing, stopped, killed, resumed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from recipe import load_recipe
from tests.training.hooks.cases import curve

DEBUG = "configs/debug.yaml"
WEIGHTS = "checkpoints/step_00000020/weights.safetensors"
OPTIMIZER = "checkpoints/step_00000020/optimizer.safetensors"


@pytest.fixture(scope="module")
def workplace(run_command, repo, tmp_path_factory):
    """A folder with the debug data in data/debug, and the options that train there."""
    folder = tmp_path_factory.mktemp("pretrain")
    corpus = repo / "tests" / "data" / "corpus.jsonl"
    options = (
        "--config", repo / DEBUG, "--data.sources", f"[{{reader: jsonl, path: {corpus}}}]"
    )  # fmt: skip
    done = run_command("data_process.py", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, options


@pytest.fixture(scope="module")
def undisturbed(run_command, workplace):
    folder, options = workplace
    done = run_command("pretrain.py", *options, "--name", "undisturbed", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done, folder / "out" / "undisturbed"


def records(run) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in records(run) if "loss" in record}


def test_a_run_says_what_it_does_and_leaves_a_run_directory(undisturbed, workplace):
    done, run = undisturbed
    assert "parameters: 139,584 = embedding 40,960 + blocks 98,624 + head 0" in done.stdout
    assert "run: 20 steps of 256 tokens" in done.stdout
    assert "step     20/20 100%  loss " in done.stdout
    assert done.stdout == (run / "train.log").read_text()
    assert "\r" not in done.stdout + done.stderr, "no progress bar without a terminal"
    assert {path.name for path in run.iterdir()} - {"framework"} == {
        "recipe.yaml", "tokenizer.model", "checkpoints", "latest", "metrics.jsonl", "train.log",
        "training.md", "training.png", "lock",
    }  # fmt: skip
    assert "Step 20 of 20, 5,120 tokens" in (run / "training.md").read_text()
    assert {path.name for path in workplace[0].iterdir()} == {"data", "out"}
    assert load_recipe(run / "recipe.yaml").model.vocab_size == 600


def test_the_plan_is_said_and_leaves_nothing(run_command, workplace):
    folder, options = workplace
    before = sorted(folder.rglob("*"))
    done = run_command("pretrain.py", *options, "--plan", "--name", "planned", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "device", "model:", "parameters:", "data:", "run:", "memory:", "time:",
    ]  # fmt: skip
    assert "device CPU (auto: no Ascend and no GPU found), 1 process" in lines[0]
    assert sorted(folder.rglob("*")) == before


def test_a_limit_of_time_is_measured_and_changes_nothing_else(run_command, undisturbed, workplace):
    folder, options = workplace
    limit = (*options, "--name", "limited", "--train.max_minutes", "9")
    done = run_command("pretrain.py", *limit, "--plan", cwd=folder)
    assert done.stdout.splitlines()[-1].startswith("limit: train.max_minutes is 9; how long a step")
    done = run_command("pretrain.py", *limit, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "max_steps is 20, all of 20, which take about 0:0" in done.stdout
    run = folder / "out" / "limited"
    assert_same(run, undisturbed[1])
    assert load_recipe(run / "recipe.yaml").train.max_minutes == 9.0
    done = run_command("pretrain.py", *limit, "--train.max_steps", "30", cwd=folder)
    assert "20 steps are done; raise train.max_steps, with train.max_minutes null" in done.stdout


def test_metrics_carry_the_promised_names(undisturbed):
    training = [record for record in records(undisturbed[1]) if "loss" in record]
    held_out = [record for record in records(undisturbed[1]) if "val_loss" in record]
    assert [record["step"] for record in training] == [5, 10, 15, 20]
    assert [record["step"] for record in held_out] == [10, 20]
    assert {"tokens", "loss", "lr", "grad_norm", "tokens_per_s"} <= training[0].keys()
    assert "bits_per_byte" in held_out[0]
    assert training[-1]["loss"] < training[0]["loss"] - 0.5, "it learns"


def test_a_finished_run_has_nothing_to_do(run_command, undisturbed, workplace):
    folder, options = workplace
    before = (undisturbed[1] / WEIGHTS).stat().st_mtime_ns
    done = run_command("pretrain.py", *options, "--name", "undisturbed", cwd=folder)
    assert done.returncode == 0 and "20 steps are done" in done.stdout
    assert (undisturbed[1] / WEIGHTS).stat().st_mtime_ns == before


def assert_same(run, undisturbed):
    for name in (WEIGHTS, OPTIMIZER):
        assert (run / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert losses(run) == losses(undisturbed)


def test_kill_9_while_saving_resumes_from_the_checkpoint_before(
    run_command, undisturbed, workplace, repo
):
    folder, options = workplace
    options = (*options, "--name", "killed", "--train.loggers", "[tensorboard]")
    killed = run_command("tests/e2e/killed_while_saving.py", *options, cwd=folder, PYTHONPATH=repo)
    assert killed.returncode == -signal.SIGKILL
    run = folder / "out" / "killed"
    assert (run / "latest").read_text().strip() == "step_00000010"
    assert max(losses(run)) == 20, "it was past the checkpoint"
    done = run_command("pretrain.py", *options, cwd=folder)
    assert "continuing from out/killed/checkpoints/step_00000010" in done.stdout
    assert_same(run, undisturbed[1])
    assert [step for step, _ in curve(run, "train/loss")] == [5, 10, 15, 20], "none twice"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_and_the_next_start_goes_on(workplace, repo, number):
    folder, options = workplace
    name = f"stopped-{number.name}"
    extra = ("--name", name, "--train.max_steps", "100000", "--train.log_interval", "1")
    command = [sys.executable, "-u", repo / "pretrain.py", *options, *extra]
    run = folder / "out" / name
    with subprocess.Popen(
        [*map(str, command)], cwd=folder, env={**os.environ}, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("step ") and "held-out" not in line:
                process.send_signal(number)
                break
        rest = process.stdout.read()
        # MindSpore turns SIGINT into SIGTERM while a graph runs.
        assert process.wait(60) in {128 + number, 128 + signal.SIGTERM}
    assert "stopped by SIG" in rest
    step = int((run / "latest").read_text().strip().removeprefix("step_"))
    assert step == max(losses(run)), "the last step that ran is the one that was saved"
