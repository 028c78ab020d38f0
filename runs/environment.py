"""Environment variables that keep the frameworks quiet and out of the working and home folders."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

DECODING = Path(__file__).resolve().parent.parent / "generation"
"""The sources of the kernels whose machine code Numba keeps in their folder, or in the home's."""


def prepare_environment(run_dir: Path, serves: bool = False) -> None:
    """Must run before mindspore is first imported; what the user has set stays.

    With `serves`, threads that wait for the others of a kernel sleep and do not spin: a server
    shares its computer, and spinning beside other processes makes a step take a hundred times as
    long.
    """
    if serves:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    scratch = run_dir / "framework"
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", str(scratch))
    os.environ.setdefault("LOCAL_DEFAULT_PATH", str(scratch))
    os.environ.setdefault("MPLCONFIGDIR", str(scratch))
    # MindSpore's generated protobuf code wants it, and it counts from the first protobuf import on.
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    keep_machine_code((DECODING / "__pycache__", user / "numba"))


def keep_machine_code(usual: Iterable[Path]) -> None:
    """Give Numba a folder that goes with this process, if it can write to none of the usual ones.

    Without a folder it refuses to compile. Nobody else may write there, because it trusts what it
    finds.
    """
    if "NUMBA_CACHE_DIR" not in os.environ and not any(map(_is_writable, usual)):
        folder = tempfile.mkdtemp(prefix="baby-llama2-mindspore-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = folder


def _is_writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    return False
