"""Fixtures that every test folder shares."""

import contextlib
import os
import resource
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from runs.environment import decoding_folder

REPO = Path(__file__).resolve().parent.parent

# Before anything imports MindSpore: quiet, and its rank_0/ out of the working folder.
os.environ.setdefault("GLOG_v", "3")
# Two processes share two cores: threads that wait for the others of a kernel sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
os.environ.setdefault("MS_OM_PATH", str(REPO / ".venv" / ".cache" / "framework"))
# Commands and tests compile the kernels of decoding once.
os.environ.setdefault("NUMBA_CACHE_DIR", str(decoding_folder()))


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def graph_mode() -> None:
    """MindSpore in graph mode on the CPU, as every command runs it there."""
    from runs.device import select_device

    select_device("CPU")


@pytest.fixture(scope="session")
def run_command():
    """Run an entry script as a user would: `run_command("pretrain.py", "--name", "x", cwd=...)`.

    Returns the finished process with returncode, stdout and stderr as text.
    """

    def run(script: str, *args: object, cwd: Path = REPO, timeout: float = 240, **env: str):
        return subprocess.run(
            [sys.executable, str(REPO / script), *map(str, args)],
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def refusal(monkeypatch, capsys):
    """The line with which an entry refuses its options: `refusal("post_train.py", "--x", 1)`.

    It runs in this process, which saves the start of another one.
    """

    def run(script: str, *options: object, cwd: Path = REPO) -> str:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [script, *map(str, options)])
        with mock.patch.dict(os.environ), pytest.raises(SystemExit) as end:
            runpy.run_path(str(REPO / script), run_name="__main__")
        said = capsys.readouterr().err
        assert end.value.code == 1 and said.startswith("error: ") and said.count("\n") == 1, said
        return said

    return run


@pytest.fixture
def full_disk():
    """Within `with full_disk(size):` no file can grow beyond so many bytes, as on a full disk."""

    @contextlib.contextmanager
    def limit(size: int):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.fixture(scope="session")
def chatglm_model() -> Path:
    """ChatGLM's tokenizer.model: $CHATGLM_TOKENIZER, or a copy beside the repository."""
    beside = REPO.parent / "shared" / "chatglm" / "tokenizer.model"
    path = Path(os.environ.get("CHATGLM_TOKENIZER", beside))
    if not path.is_file():
        pytest.skip(f"no {path}; set CHATGLM_TOKENIZER to ChatGLM's tokenizer.model")
    return path
