"""What is set before MindSpore is imported, and where Numba keeps machine code."""

import os
import subprocess
import sys
from pathlib import Path

from runs.environment import keep_machine_code

READ_ONLY = Path("/proc/nowhere")
"""Not even root makes a folder there."""


def test_a_folder_of_its_own_where_the_usual_one_cannot_be_written_to(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    keep_machine_code(READ_ONLY / "decoding")
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.is_dir() and folder.stat().st_mode & 0o077 == 0, "for this user alone"
    folder.rmdir()


def test_the_usual_folder_where_it_can_be_written_to(monkeypatch, tmp_path):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    keep_machine_code(tmp_path / "cache" / "decoding")
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "cache" / "decoding")
    assert not list((tmp_path / "cache" / "decoding").iterdir())


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    keep_machine_code(READ_ONLY)
    assert os.environ["NUMBA_CACHE_DIR"] == "/somewhere"


def test_no_entry_imports_mindspore_before_its_environment_is_set(repo):
    entries = "data_process, eval_pretrain, export, post_train, pretrain, serve"
    code = f"import sys, {entries}; sys.exit('mindspore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repo).returncode == 0
