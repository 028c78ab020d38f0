"""Environment variables that keep the frameworks quiet and out of the working and home folders."""

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from common.machine_code import NAME, source_digest, user_cache

REPO = Path(__file__).resolve().parent.parent
KERNELS = (REPO / "generation", REPO / "model" / "native")
"""Folders with the sources of the kernels of decoding."""


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
    keep_machine_code(decoding_folder())


def decoding_folder() -> Path:
    """The folder of the kernels of decoding in the user's cache; it need not exist."""
    sources = (path for folder in KERNELS for path in folder.glob("*.py"))
    return user_cache() / f"decoding-{source_digest(sources)}"


def keep_machine_code(folder: Path) -> None:
    """Have Numba keep its machine code in a folder; what the user has set stays.

    Where that cannot be written to, it is one that goes with this process: without a folder Numba
    refuses to compile. Nobody else may write there, because it trusts what it finds.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    if not _is_writable(folder):
        folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


def _is_writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    return False
