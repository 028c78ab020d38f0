"""Pairs by their commands: DPO with its reference, a reward model, and what scores with it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import post_train
from common.files import sha256_file
from recipe import REPO, parse_recipe
from rewards.answer import Answer, write_answers
from runs.checkpoint import ADAPTER, WEIGHTS
from tests.evaluation.cases import make_run


@pytest.fixture(scope="module")
def options(tmp_path_factory, graph_mode, run_command):
    """`options(name)`: those of a shipped debug recipe, beside an untrained base; its data made."""
    folder = tmp_path_factory.mktemp("pairs")
    base = make_run(folder)

    def of(name: str) -> list:
        return [
            *("--config", REPO / "configs" / f"{name}.yaml", "--out_dir", folder / "tuned"),
            *("--train.init_from", base.path, "--data.dir", folder / "pairs"),
            *("--train.max_steps", "4", "--train.save_interval", "2"),
            *("--train.eval_interval", "4", "--train.log_interval", "1"),
        ]

    done = run_command("data_process.py", *of("debug-dpo"))
    assert (done.returncode, done.stderr) == (0, "")
    return of


def records(run) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_dpo_begins_at_ln_2_resumes_exactly_and_knows_its_reference(options, run_command):
    command = options("debug-dpo")
    run, base = command[3] / "debug-dpo", command[5]
    done = run_command("post_train.py", *command)
    assert done.returncode == 0, done.stderr
    assert "reference: log-probabilities of 400 answers" in done.stderr + done.stdout
    first, *_, held_out = records(run)
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert first["margin"] == pytest.approx(0, abs=1e-5)
    assert {"val_accuracy", "val_margin", "val_chosen_length"} < held_out.keys()
    last = run / "checkpoints" / "step_00000004"
    whole = load_file(last / WEIGHTS)
    shutil.rmtree(last)
    done = run_command("post_train.py", *command)
    assert done.returncode == 0, done.stderr
    assert "reference: " not in done.stderr + done.stdout, "it is read, not computed again"
    again = load_file(last / WEIGHTS)
    assert all(np.array_equal(again[name], value) for name, value in whole.items())

    checkpoint = base / "checkpoints" / "step_00000020"
    weights = load_file(checkpoint / WEIGHTS)
    save_file({name: value * 1.01 for name, value in weights.items()}, checkpoint / WEIGHTS)
    state = checkpoint / "state.json"
    known = json.loads(state.read_text())
    known["sha256"][WEIGHTS] = sha256_file(checkpoint / WEIGHTS)
    state.write_text(json.dumps(known))
    shutil.rmtree(last)
    done = run_command("post_train.py", *command)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("error: ")
    assert "was trained beside another reference than" in done.stderr


def test_the_frozen_base_of_a_lora_is_the_reference(options):
    words = (*options("debug-dpo"), "--name", "adapted", "--adapter.kind", "lora")
    recipe = parse_recipe([*map(str, words), "--adapter.rank", "2"])
    assert post_train.train(recipe) == 0
    first, *_, last = (record for record in records(recipe.run_dir) if "loss" in record)
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert first["margin"] == pytest.approx(0, abs=1e-5) and abs(last["margin"]) > 1e-3
    checkpoint = recipe.run_dir / "checkpoints" / "step_00000004"
    assert (checkpoint / ADAPTER).is_file() and not (checkpoint / WEIGHTS).exists()


def test_a_reward_model_is_trained_measured_and_scores(options, run_command, tmp_path):
    command = options("debug-reward")
    run = command[3] / "debug-reward"
    done = run_command("post_train.py", *command)
    assert done.returncode == 0, done.stderr
    assert "value_head" in load_file(run / "checkpoints" / "step_00000004" / WEIGHTS)
    done = run_command("eval_pretrain.py", "--run", run)
    assert done.returncode == 0, done.stderr
    report = (run / "report.md").read_text(encoding="utf-8")
    assert "Which of two held-out answers it prefers" in report and "stated probability" in report
    write_answers([Answer("谁在学校？", "奶奶在学校。")], tmp_path / "answers.jsonl")
    command = [sys.executable, "-m", "rewards.score", "--reward", f"model:{run}"]
    command += [tmp_path / "answers.jsonl", "--output", tmp_path / "scored.jsonl"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, encoding="utf-8", timeout=240)
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "scored.jsonl").read_text(encoding="utf-8").splitlines()
    assert np.isfinite(json.loads(line)["rewards"][f"model:{run}"])
    done = run_command("export.py", "--run", run, "--format", "hf", "--output", tmp_path / "hf")
    assert done.returncode == 1 and "is a reward model, whose value head" in done.stderr
