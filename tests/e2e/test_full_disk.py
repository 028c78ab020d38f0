"""The disk fills while pretrain.py trains: it goes on, says so, and saves again when it can."""

import json
import resource
import signal
import subprocess
import sys

FREE, FULL = resource.RLIM_INFINITY, 0
"""Largest file that the process may write: a limit that can be set, and lifted, from outside."""


def test_a_full_disk_costs_checkpoints_and_nothing_else(run_command, debug_options, repo, tmp_path):
    options = [*debug_options]
    assert run_command("data_process.py", *options, cwd=tmp_path).returncode == 0
    options += ["--name", "full", "--train.max_steps", "100000", "--train.log_interval", "1"]
    command = [sys.executable, str(repo / "pretrain.py"), *options, "--train.save_interval", "20"]
    run, errors = tmp_path / "out" / "full", tmp_path / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):

        def read_until(text: str) -> str:
            return next(line for line in process.stdout if text in line)

        def limit(size: int) -> None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        read_until("step     40/")
        limit(FULL)
        assert "step 40 waits until there is room" in read_until("metrics.jsonl: ")
        lost = int(read_until("not saved: cannot write").split()[3])
        read_until(f"step {lost + 30:>6,}/")
        kept = {path.name for path in (run / "checkpoints").iterdir()}
        assert {"step_00000020"} <= kept and f"step_{lost:08d}" not in kept
        limit(FREE)
        again = lost + 60
        read_until(f"step {again + 20:>6,}/")
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(60) == 128 + signal.SIGTERM and "stopped by SIGTERM" in rest
    assert (run / "checkpoints" / f"step_{again:08d}" / "state.json").exists()
    assert "Traceback" not in errors.read_text() + rest
    steps = [
        record["step"]
        for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        if "loss" in record
    ]
    assert steps == list(range(1, steps[-1] + 1)), "what waited for room was written"
    assert "stopped by SIGTERM" in (run / "train.log").read_text()
