"""Where compiled kernels are kept between processes, and where the stub may lie in one.

Compiling takes some ten seconds, loading a quarter of one. Numba writes the machine code into a
folder of the user's cache, named after these sources, Numba's version and the processor. A list of
checksums, written last, shows a damaged or half-written folder, which is emptied; a lock lets
processes that start together compile once.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numba
from filelock import FileLock
from llvmlite import binding

from common.machine_code import NAME, source_digest, user_cache

CHECKSUMS, LOCK = "checksums.json", "lock"


def user_folder() -> Path:
    """The folder of these kernels in the user's cache; it need not exist."""
    host = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    asked = numba.config.CPU_NAME, numba.config.CPU_FEATURES
    sources = Path(__file__).parent.glob("*.py")
    digest = source_digest(sources, numba.__version__, *host, *asked)
    return user_cache() / f"native-{digest}"


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """A sound folder to load from and compile into, for this process alone while the block lasts.

    Where `folder` cannot be written to, it is one that goes with the block.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire()
    except OSError:
        with tempfile.TemporaryDirectory(prefix=f"{NAME}-") as temporary:
            yield Path(temporary)
        return
    with lock:
        if not is_sound(folder):
            empty(folder)
        yield folder
        write_checksums(folder)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that Numba wrote, by its path in the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (CHECKSUMS, LOCK)
    }


def is_sound(folder: Path) -> bool:
    """Whether all files are as they were written; also if there is none."""
    found = checksums(folder)
    try:
        return found == json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return not found


def write_checksums(folder: Path) -> None:
    """Note how the files are now, if that is not known."""
    text, path = json.dumps(checksums(folder), indent=1), folder / CHECKSUMS
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def empty(folder: Path) -> None:
    """Remove all but the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def executable_file(
    content: bytes, folders: list[Path]
) -> tuple[Path, tempfile.TemporaryDirectory]:
    """Write a shared object where it can be opened; returns its path, and what keeps it.

    Raises:
        OSError: none of the folders can be written to and allows execution.
    """
    reasons = []
    for folder in folders:
        try:
            own = tempfile.TemporaryDirectory(prefix=f"{NAME}-", dir=folder)
            path = Path(own.name) / "native.so"
            path.write_bytes(content)
            ctypes.CDLL(str(path))
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
        else:
            return path, own
    raise OSError(f"no folder holds a library that can be run ({'; '.join(reasons)})")
