"""A signal while an entry starts, in the middle of its imports: a word and 128 + signal."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGTERM, 143, "ended by SIGTERM\n"), (signal.SIGINT, 130, "interrupted\n")],
)
def test_a_signal_while_mindspore_is_imported(repo, tmp_path, number, status, word):
    command = [sys.executable, repo / "eval_pretrain.py", "--run", "nowhere"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    maps, end = Path(f"/proc/{process.pid}/maps"), time.monotonic() + 60
    while "mindspore" not in maps.read_text():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    assert (process.communicate(timeout=60)[1], process.returncode) == (word, status)
