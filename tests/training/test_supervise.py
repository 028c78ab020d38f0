"""The supervisor: what is started again, what is not, and who is named."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import ERRORS_FILE, UserError
from recipe import load_recipe
from training import supervise as supervisor
from training.supervise import STOPPED, supervise, supervises_itself

FAKE = "tests/training/fake_launch.py"


@pytest.fixture
def launch(tmp_path, repo, monkeypatch, capfd):
    """Supervise the fake launch with a script of what each start does: (status, output, rest)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(repo))
    monkeypatch.setattr(supervisor, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("training.processes.POLL_SECONDS", 0.05)

    def run(script: str, max_restarts: int, launcher: bool = False):
        Path("script").write_text(script)
        options = ["--train.max_restarts", str(max_restarts)]
        recipe = load_recipe(repo / "configs" / "debug.yaml", options)
        command = [sys.executable, str(repo / FAKE), "pretrain.py", *options]
        status = supervise(command, recipe, launcher)
        captured = capfd.readouterr()
        return status, captured.out + captured.err, Path("script").read_text()

    return run


def test_a_crash_is_followed_by_a_restart(launch):
    status, output, rest = launch("kill 3 0 never", 2)
    assert (status, rest) == (0, "never")
    assert "the training process was killed by SIGKILL; restart 1 of at most 2" in output
    assert "the training process failed with exit status 3; restart 2 of at most 2" in output


def test_a_new_checkpoint_begins_the_count_anew(launch):
    status, output, rest = launch("3 save 3 kill never", 2)
    assert (status, rest) == (128 + signal.SIGKILL, "never")
    assert output.count("restart 1 of at most 2") == output.count("restart 2 of at most 2") + 1
    assert "from step_000000" in output
    assert "killed by SIGKILL; no restart is left of train.max_restarts 2" in output


@pytest.mark.parametrize("launcher", [False, True])
def test_an_error_that_a_person_must_mend_is_told_once(launch, launcher):
    status, output, rest = launch("error never", 5, launcher)
    assert (status, rest) == (1, "never")
    assert output.count("error: the disk is full; free it") == 1 + launcher


def test_a_stop_by_hand_is_no_crash(launch):
    assert launch("143 never", 5)[::2] == (143, "never")
    assert {143, 130, -15, -2} == STOPPED


def test_nothing_to_supervise(repo):
    done = subprocess.run(
        [sys.executable, "-m", "training.supervise", "msrun", "train.py"],
        cwd=repo, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "must be a launch command of pretrain.py" in done.stderr


@pytest.fixture
def ranks(tmp_path, repo):
    """`python -m training.supervise` over two fake ranks that run, with its output to come."""
    (tmp_path / "script").write_text("ranks 0 never")
    command = [
        sys.executable, "-m", "training.supervise",
        sys.executable, str(repo / FAKE), "pretrain.py", "--train.max_restarts", "1",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repo)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        for line in process.stdout:
            if line == "both run\n":
                time.sleep(1.5)  # so that the supervisor has seen them
                break
        yield process
        process.kill()


def processes_in(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve() == folder and (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def rank(folder: Path, number: int) -> int:
    for pid in processes_in(folder):
        if f"RANK_ID={number}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return pid
    raise AssertionError(f"rank {number} does not run")


def test_the_dead_rank_is_named_and_the_others_end(ranks, tmp_path):
    dead = rank(tmp_path, 1)
    os.kill(dead, signal.SIGKILL)
    output, _ = ranks.communicate(timeout=60)
    assert ranks.returncode == 0, "the second start went well"
    assert f"rank 1 (process {dead}) was killed by SIGKILL; restart 1 of at most 1" in output
    assert (tmp_path / "script").read_text() == "never"
    assert not processes_in(tmp_path)


def test_sigterm_reaches_the_ranks_and_nothing_is_started_again(ranks, tmp_path):
    ranks.terminate()
    ranks.communicate(timeout=60)
    assert ranks.returncode == 128 + signal.SIGTERM
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "script").read_text() == "0 never"
    assert not processes_in(tmp_path)


def test_who_supervises(repo, monkeypatch):
    recipe = load_recipe(repo / "configs" / "debug.yaml", ["--train.max_restarts", "3"])
    assert supervises_itself(recipe)
    assert not supervises_itself(load_recipe(repo / "configs" / "debug.yaml"))
    monkeypatch.setenv("MS_ROLE", "MS_WORKER")
    with pytest.raises(UserError, match="put python -m training.supervise in front"):
        supervises_itself(recipe)
    monkeypatch.setenv(ERRORS_FILE, "/tmp/errors")
    assert not supervises_itself(recipe)
