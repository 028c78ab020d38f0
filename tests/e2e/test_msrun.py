"""The guides' msrun line on the debug recipe: ranks stop together, and any number goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.test_parallel import free_port

BIN = Path(sys.executable).parent
REPO = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def command(run_command, debug_options, tmp_path_factory):
    """msrun with pretrain.py on the debug data, in a folder of its own."""
    folder = tmp_path_factory.mktemp("msrun")
    options = [*debug_options]
    assert run_command("data_process.py", *options, cwd=folder).returncode == 0
    msrun = [
        str(BIN / "msrun"), "--worker_num=2", "--local_worker_num=2", "--join=True",
        f"--master_port={free_port()}", "--log_dir=out/two/msrun",
    ]  # fmt: skip
    options += ["--name", "two", "--train.micro_batch", "2", "--train.log_interval", "1"]
    return folder, [*msrun, str(REPO / "pretrain.py"), *options]


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def a_rank(folder: Path) -> int:
    """Process id of a training rank in `folder`; the scheduler runs the same script."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line, environ = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        mine = (path / "cwd").resolve() == folder.resolve()
        if mine and b"pretrain.py" in line and b"MS_ROLE=MS_WORKER" in environ:
            return int(path.name)
    raise AssertionError("no rank is running")


def test_ranks_stop_together_and_any_number_goes_on(command):
    """Two ranks share the optimizer, one process goes on with all of it, and two share it again."""
    folder, line = command
    run, sharded = folder / "out" / "two", ["--train.shard_optimizer", "true"]
    with start(folder, [*line, *sharded, "--train.max_steps", "100000"]) as process:
        deadline = time.monotonic() + 120
        while not (run / "metrics.jsonl").is_file() or not (run / "metrics.jsonl").read_text():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.2)
        os.kill(a_rank(folder), signal.SIGTERM)
        process.stdout.read()
    step = int((run / "latest").read_text().strip().removeprefix("step_"))
    alone = [sys.executable, *line[line.index(str(REPO / "pretrain.py")) :]]
    for more, launch in ((5, alone), (10, [*line, *sharded])):
        with start(folder, [*launch, "--train.max_steps", str(step + more)]) as process:
            output = process.stdout.read()
        assert process.returncode == 0, output[-3000:]
    steps = [json.loads(record)["step"] for record in (run / "metrics.jsonl").open()]
    assert steps == sorted(steps) and steps[-1] == step + 10
    assert {path.name for path in folder.iterdir()} == {"data", "out"}


@pytest.mark.slow
def test_a_killed_rank_is_named_and_the_job_starts_again(command, monkeypatch):
    """The supervisor does not wait for msrun, whose scheduler takes half a minute to notice."""
    folder, line = command
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    supervise = [sys.executable, "-m", "training.supervise", *line, "--name", "again"]
    options = ["--train.max_restarts", "1", "--train.max_steps", "60"]
    latest = folder / "out" / "again" / "latest"
    with start(folder, [*supervise, *options]) as process:
        deadline = time.monotonic() + 120
        while not latest.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        dead = a_rank(folder)
        os.kill(dead, signal.SIGKILL)
        killed = time.monotonic()
        for text in process.stdout:
            if "was killed by SIGKILL; restart 1 of at most 1" in text:
                break
        assert time.monotonic() < killed + 60
        assert text.startswith("rank ") and f"(process {dead})" in text
        output = process.stdout.read()
    assert process.returncode == 0, output[-3000:]
    assert "continuing from out/again/checkpoints/step_" in output
    records = map(json.loads, (latest.parent / "metrics.jsonl").read_text().splitlines())
    assert [record["step"] for record in records if "loss" in record] == list(range(1, 61))
