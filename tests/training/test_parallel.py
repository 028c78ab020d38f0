"""Two ranks under msrun train as one process with the same global batch does."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from corpus.token_file import TokenFileWriter
from tests.training.dp_worker import RESUMED

BIN = Path(sys.executable).parent
WORKER = "tests/training/dp_worker.py"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start(command: list[str], repo: Path) -> None:
    # msrun starts `python` from the path, and its workers import from the repository.
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(repo)}
    done = subprocess.run(
        command, cwd=repo, env=env, capture_output=True, encoding="utf-8", timeout=200
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def results(repo, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("parallel")
    with TokenFileWriter(folder / "ids.bin", 64) as writer:
        writer.write([(11 * i * i + 5 * i) % 64 for i in range(16 * 40)])
    data = str(folder / "ids.bin")
    msrun = [
        str(BIN / "msrun"), "--worker_num=2", "--local_worker_num=2", "--join=True",
        f"--master_port={free_port()}", f"--log_dir={folder / 'log'}",
    ]  # fmt: skip
    one = [sys.executable, WORKER, data, str(folder / "one")]
    two = [*msrun, WORKER, data, str(folder / "two")]
    with ThreadPoolExecutor() as pool:  # the ranks often wait for each other
        list(pool.map(start, (one, two), (repo, repo)))
    found = {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}
    found["one-native-messages-0"] = found["one-native-muon-0"]  # a lone process sends none
    return found


SHARDED = ["sharded", "muon", "native-sharded", "native-muon", "native-messages"]
KINDS = pytest.mark.parametrize("kind", ["plain", "native-plain", *SHARDED])


@KINDS
def test_the_ranks_are_identical_to_the_bit(results, kind):
    first, second = (results[f"two-{kind}-{rank}"] for rank in (0, 1))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert np.array_equal(value, second[name]), name


@KINDS
def test_two_ranks_equal_one_process(results, kind):
    one, two = results[f"one-{kind}-0"], results[f"two-{kind}-0"]
    assert np.allclose(one["losses"], two["losses"], atol=1e-5)
    for name in one.keys() - {"bytes"}:
        assert np.allclose(one[name], two[name], atol=1e-5), name
    assert one["losses"][-1] < one["losses"][0]


@KINDS
def test_all_ranks_skip_a_step_that_is_bad_on_one(results, kind):
    for name in (f"one-{kind}-0", f"two-{kind}-0", f"two-{kind}-1"):
        assert results[name]["bad_steps"] == 1
        assert all(np.isfinite(value).all() for value in results[name].values())


def test_a_sharded_optimizer_takes_half_the_memory_on_two_ranks(results):
    assert results["one-sharded-0"]["bytes"] == results["one-plain-0"]["bytes"]
    for kind in SHARDED:
        assert 2 * results[f"two-{kind}-0"]["bytes"] == results[f"one-{kind}-0"]["bytes"]
    assert results["two-plain-0"]["bytes"] == results["one-plain-0"]["bytes"]


@pytest.mark.parametrize("kind", RESUMED)
def test_what_follows_from_a_restored_state_is_the_same_to_the_bit(results, kind):
    assert all(results[f"two-{kind}-{rank}"]["exact"] for rank in (0, 1))


@pytest.mark.parametrize(
    "kind, other",
    [
        ("native-sharded", "native-plain"),
        ("native-sharded", "sharded"),
        ("native-muon", "muon"),
        ("native-messages", "native-muon"),
    ],
)
def test_forms_of_one_optimizer_agree(results, kind, other):
    ours, truth = results[f"two-{kind}-0"], results[f"two-{other}-0"]
    for name in ours.keys() - {"bytes", "exact"}:
        assert np.allclose(ours[name], truth[name], atol=1e-5), name


def test_the_held_out_loss_is_shared(results):
    one, two = results["one-plain-0"], results["two-plain-0"]
    assert two["nats"] == pytest.approx(float(one["nats"]), rel=1e-5)
