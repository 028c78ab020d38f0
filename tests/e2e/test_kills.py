"""kill -9 again and again: the supervisor starts the run again, and afterwards nothing shows it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recipe import REPO
from tests.data.make_corpus import PLACES, TIMES
from tests.evaluation.cases import make_run

QUICK = ("--train.max_steps", "60", "--train.eval_interval", "30")
REWARDED = ("--train.max_steps", "16", "--train.save_interval", "4", "--train.eval_interval", "8")
LONG = ("--train.max_steps", "600", "--train.eval_interval", "100")
GRPO = "{kind: grpo, rewards: {chinese: 1.0}, group: 4, max_new_tokens: 12, table_interval: 4}"
PPO = "{kind: ppo, rewards: {chinese: 1.0}, updates: 2, max_new_tokens: 12, table_interval: 4}"
PATIENCE = 300
"""Seconds that a start of pretrain.py may take on a busy machine."""


@pytest.fixture(scope="module")
def workplace(run_command, debug_options, repo, tmp_path_factory):
    """A folder with the debug data, and a command that trains there; --name comes last."""
    folder = tmp_path_factory.mktemp("kills")
    options = [*debug_options]
    done = run_command("data_process.py", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    options += ["--model.dropout", "0.1", "--train.log_interval", "1", "--name"]
    return folder, [sys.executable, str(repo / "pretrain.py"), *options]


@pytest.fixture(scope="module")
def rewarded(run_command, repo, tmp_path_factory, graph_mode):
    """As `workplace`, for rewards on the debug model, untrained, with tasks of one question."""
    folder = tmp_path_factory.mktemp("rewarded")
    base = make_run(folder)
    questions = [f"{time}的{place}有什么？" for time in TIMES for place in PLACES]
    lines = (json.dumps({"prompt": question}, ensure_ascii=False) for question in questions)
    (folder / "tasks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ["--config", str(repo / "configs" / "debug-sft.yaml"), "--data.dir", "data/tasks"]
    options += ["--data.kind", "task", "--data.sources", "[{reader: tasks, path: tasks.jsonl}]"]
    options += ["--train.init_from", str(base.path), "--train.log_interval", "1"]
    options += ["--train.tokens_per_step", "512", "--train.eval_rows", "2"]
    done = run_command("data_process.py", *options, "--objective", GRPO, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, [sys.executable, "-m", "tests.e2e.rewarded", *options, "--name"]


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    with (folder / f"{time.monotonic_ns()}.out").open("w") as output:
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def wait_for(what: Callable[[], object], process: subprocess.Popen):
    """What `what` returns as soon as that is true; the process must not end before."""
    deadline = time.monotonic() + PATIENCE
    while not (value := what()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    return value


def child_of(process: subprocess.Popen, but: int) -> int:
    """Process id of the training that a supervisor runs, other than the one killed before."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process.pid and state != "Z" and int(path.parent.name) != but:
            return int(path.parent.name)
    return 0


def last_step(run: Path) -> int:
    """Step of the last whole line of metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text().split("\n")
    return json.loads(lines[-2])["step"] if len(lines) > 1 else 0


def inode(file: Path) -> int:
    return file.stat().st_ino if file.exists() else 0


def wait_to_kill(how: str, amount: float, run: Path, old: int, supervisor) -> None:
    """Return at the moment of a kill; `old` is the inode of metrics.jsonl before this start."""
    if how == "while it starts":
        time.sleep(amount)
        return
    # A start writes the file anew, without the steps that it does again.
    wait_for(lambda: inode(run / "metrics.jsonl") not in (old, 0), supervisor)
    if how == "while saving":
        wait_for(lambda: list((run / "checkpoints").glob(".step_*.tmp/*")), supervisor)
    else:
        goal = last_step(run) + amount
        wait_for(lambda: last_step(run) >= goal, supervisor)


def train_with_kills(folder: Path, command: list[str], run: Path, kills) -> list[str]:
    """Train with a kill -9 of each kind in turn; returns how each of them was done in truth."""
    restarts = ["--train.max_restarts", str(len(kills))]
    done, killed, old = [], 0, 0
    with start(folder, [*command, *restarts]) as supervisor:
        for how, amount in kills:
            pid = wait_for(lambda but=killed: child_of(supervisor, but), supervisor)
            wait_to_kill(how, amount, run, old, supervisor)
            old = inode(run / "metrics.jsonl")
            os.kill(pid, signal.SIGKILL)
            killed = pid
            torn = bool(list((run / "checkpoints").glob(".step_*.tmp")))
            done.append("while saving" if torn else how)
        assert supervisor.wait(5 * PATIENCE) == 0
    return done


def assert_same(run: Path, undisturbed: Path, max_steps: int) -> None:
    checkpoints = sorted(path.name for path in (undisturbed / "checkpoints").iterdir())
    assert checkpoints[-1] == f"step_{max_steps:08d}"
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == checkpoints
    for name in checkpoints:
        for file in ("weights.safetensors", "optimizer.safetensors"):
            place = Path("checkpoints", name, file)
            assert (run / place).read_bytes() == (undisturbed / place).read_bytes(), place
    kept = (
        "step",
        "tokens",
        "loss",
        "lr",
        "grad_norm",
        "val_loss",
        "bits_per_byte",
        "reward",
        "kl",
        "value_loss",
    )
    ours, theirs = (
        [
            {name: record.get(name) for name in kept}
            for record in map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
        ]
        for path in (run, undisturbed)
    )
    assert ours == theirs
    assert [r["step"] for r in ours if r["loss"] is not None] == list(range(1, max_steps + 1))


def check(workplace, name: str, options, kills) -> list[str]:
    folder, command = workplace
    # Side by side: the undisturbed run has ended when the other has restarted once.
    with start(folder, [*command, f"undisturbed-{name}", *options]) as undisturbed:
        done = train_with_kills(folder, [*command, name, *options], folder / "out" / name, kills)
        assert undisturbed.wait(5 * PATIENCE) == 0
    out = folder / "out"
    assert "native kernels" in (out / name / "train.log").read_text()
    assert_same(out / name, out / f"undisturbed-{name}", int(options[1]))
    return done


def test_two_kills_with_dropout_leave_no_trace(workplace):
    kills = [("while it trains", 15), ("while saving", 0)]
    assert check(workplace, "twice", QUICK, kills)[1] == "while saving"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "objective"), [("grpo", GRPO), ("ppo", PPO)])
def test_a_kill_between_rollouts_leaves_no_trace(rewarded, name, objective):
    check_rewarded(rewarded, name, objective, [("while it trains", 5)])


def check_rewarded(rewarded, name: str, objective: str, kills) -> None:
    """`check` for rewards: the weights move, and the tables of rollouts are the same too."""
    check(rewarded, name, (*REWARDED, "--objective", objective), kills)
    out = rewarded[0] / "out"
    tables = sorted(path.name for path in (out / name / "rollouts").iterdir())
    assert len(tables) == 4
    for table in tables:
        place = Path("rollouts", table)
        assert (out / name / place).read_bytes() == (
            out / f"undisturbed-{name}" / place
        ).read_bytes()
    first, *_, last = sorted((out / name / "checkpoints").iterdir())
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (first, last)]
    assert weights[0] != weights[1], "something is learned"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_random_kills_leave_no_trace(workplace):
    rng = np.random.default_rng(20)
    kills = [("while it trains", int(steps)) for steps in rng.integers(1, 60, 11)]
    kills += [("while it starts", seconds) for seconds in rng.uniform(0, 4, 4)]
    kills += [("while saving", 0)] * 5
    done = check(workplace, "often", LONG, [kills[i] for i in rng.permutation(len(kills))])
    assert len(done) == 20 and done.count("while saving") >= 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_random_kills_during_grpo_leave_no_trace(rewarded):
    rng = np.random.default_rng(5)
    kills = [("while it trains", int(steps)) for steps in rng.integers(1, 5, 3)]
    kills += [("while it starts", float(rng.uniform(0, 4))), ("while saving", 0)]
    check_rewarded(rewarded, "five", GRPO, [kills[i] for i in rng.permutation(5)])
