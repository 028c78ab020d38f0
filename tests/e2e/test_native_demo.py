"""The demo's first steps by the native kernels and by the plain ones: the same losses."""

import json
from pathlib import Path

import pytest

STEPS = 200


def losses(run_command, repo: Path, folder: Path, kernels: str) -> list[float]:
    """The loss of each step, by some kernels."""
    options = ["--data.dir", repo / "data", "--train.kernels", kernels, "--name", kernels]
    for name, value in (("max_steps", STEPS), ("log_interval", 1), ("eval_interval", STEPS)):
        options += [f"--train.{name}", value]
    done = run_command(
        "pretrain.py",
        "--config",
        repo / "configs" / "demo.yaml",
        *options,
        cwd=folder,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    lines = (folder / "out" / kernels / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record.get("loss")]
    return [record["loss"] for record in records]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_steps_are_those_of_the_plain_kernels(run_command, repo, tmp_path):
    if not (repo / "data" / "pretrain_data.bin").exists():
        pytest.skip("the demo's data is not here; python data_process.py makes it")
    native, plain = (losses(run_command, repo, tmp_path, name) for name in ("native", "plain"))
    assert len(native) == len(plain) == STEPS
    assert max(abs(a - b) for a, b in zip(native, plain)) <= 1e-4
