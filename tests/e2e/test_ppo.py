"""PPO from end to end on an untrained debug run: by its commands, resumed, and without a signal."""

import dataclasses
import json
import math
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from common.errors import UserError
from interop.exporter import export
from interop.initial import read_initial, with_base_shape
from model.config import AdapterConfig
from recipe import REPO, load_recipe
from runs.checkpoint import OPTIMIZER, WEIGHTS
from runs.run import METRICS, Run
from tests.evaluation.cases import make_run
from training.trainer import prepare, train

CONFIG = REPO / "configs" / "debug-ppo.yaml"
STEPS = 4


@pytest.fixture(scope="module")
def options(tmp_path_factory, graph_mode, run_command):
    """Options of four steps in two rounds from an untrained debug run, the tasks made."""
    folder = tmp_path_factory.mktemp("ppo")
    base = make_run(folder)
    options = [
        *("--config", CONFIG, "--out_dir", folder / "out", "--train.init_from", base.path),
        *("--data.dir", folder / "tasks", "--train.max_steps", STEPS, "--train.save_interval", 2),
        *("--train.log_interval", 1, "--train.eval_interval", 2, "--train.eval_rows", 4),
        *("--objective.table_interval", 2),
    ]
    done = run_command("data_process.py", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return [str(option) for option in options]


@pytest.fixture(scope="module")
def run(options, run_command) -> Run:
    done = run_command("post_train.py", *options)
    assert done.returncode == 0, done.stderr
    return Run.open(f"{options[3]}/debug-ppo")


def test_a_signal_ends_it_though_more_rollouts_are_waited_for(options):
    command = [sys.executable, "-u", REPO / "post_train.py", *options]
    command += ["--name", "stopped", "--train.max_steps", "1000"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("step ") and "held-out" not in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM after step" in rest


def recipe_of(options, *more: str):
    return with_base_shape(load_recipe(CONFIG, [*options[2:], *more]))


def trained(recipe) -> Run:
    assert train(recipe, read_initial) == 0
    return Run.open(recipe.run_dir)


def test_what_is_recorded_and_kept(run):
    steps = [record for record in run.metrics() if "loss" in record]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    of_rollouts = {"reward", "reward_ended", "reward_nonempty", "entropy", "length", "ended"}
    of_rollouts |= {"failed_rewards", "kl", "explained_variance"}
    for record in steps:
        assert math.isfinite(record["value_loss"]) and 0 <= record["clipped"] <= 1
        assert (of_rollouts <= record.keys()) == (record["step"] % 2 == 1), "once a round"
    # It begins as its reference, but for the rows without a piece, which nobody has untrained yet.
    unused = math.log(run.recipe.model.padded_vocab_size / run.recipe.model.vocab_size)
    assert steps[0]["kl"] == pytest.approx(math.exp(-unused) + unused - 1, abs=1e-4)
    held_out = [record for record in run.metrics() if "val_loss" in record]
    assert held_out[-1]["val_loss"] == -held_out[-1]["val_reward"]
    tables = sorted(path.name for path in (run.path / "rollouts").iterdir())
    assert tables == ["step_00000000-0.jsonl", "step_00000002-0.jsonl"]
    rows = (run.path / "rollouts" / tables[0]).read_text(encoding="utf-8").splitlines()
    assert len(rows) == 16 and json.loads(rows[0]).keys() >= {"prompt", "reward", "advantage"}
    assert load_file(run.newest_checkpoint().path / WEIGHTS)["value_head"].any()


def test_a_run_that_goes_on_equals_one_that_did_not_stop(run, options, tmp_path):
    """Stopped between two rounds, as a kill would leave it."""
    other = tmp_path / run.path.name
    shutil.copytree(run.path, other)
    shutil.rmtree(Run.open(other).newest_checkpoint().path)
    again = trained(recipe_of(options, "--out_dir", str(tmp_path)))
    for name in (WEIGHTS, OPTIMIZER):
        files = [each.newest_checkpoint().path / name for each in (run, again)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    kept = ("step", "loss", "reward", "kl", "value_loss", "val_reward")
    ours, theirs = (
        [{name: record.get(name) for name in kept} for record in each.metrics()]
        for each in (again, run)
    )
    assert ours == theirs and (other / METRICS).is_file()


def test_an_export_has_no_value_head(run, tmp_path):
    assert "read back" in export(run, "hf", tmp_path / "hf")
    assert not any("value" in name for name in load_file(tmp_path / "hf" / "model.safetensors"))


def test_a_reward_of_zero_changes_no_weight(options):
    """The value head begins as zeros, so returns and advantages are 0 as well."""
    silent = (
        "--name",
        "silent",
        "--objective.rewards",
        "{ended: 0.0, nonempty: 0.0}",
        "--objective.beta",
        "0",
    )
    found = trained(recipe_of(options, *silent))
    base = Run.open(found.recipe.train.init_from)
    weights, before = (load_file(r.newest_checkpoint().path / WEIGHTS) for r in (found, base))
    assert not weights.pop("value_head").any()
    assert all(np.array_equal(weights[name], value) for name, value in before.items())


def test_an_adapter_goes_on_with_its_value_head(options, run):
    """It begins from a run that has a value head, which is then no part of the frozen base."""
    adapted = ("--name", "adapted", "--train.init_from", str(run.path), "--train.max_steps", "2")
    adapter = AdapterConfig(kind="lora", rank=2)
    recipe = dataclasses.replace(recipe_of(options, *adapted), adapter=adapter)
    head = load_file(trained(recipe).newest_checkpoint().path / "adapter.safetensors")["value_head"]
    assert not np.array_equal(head, load_file(run.newest_checkpoint().path / WEIGHTS)["value_head"])
    longer = dataclasses.replace(recipe.train, max_steps=4)
    found = trained(dataclasses.replace(recipe, train=longer))
    assert found.newest_checkpoint().step == 4
    found.load_model()


def test_a_checkpoint_between_two_updates_is_refused(options):
    recipe = recipe_of(options, "--name", "x", "--train.save_interval", "3")
    with pytest.raises(UserError, match="save_interval is 3; it must be a multiple of .*updates 2"):
        prepare(recipe)
