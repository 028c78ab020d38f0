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

CHECKSUMS, LOCK = "checksums.json", "lock"
NAME = "baby-llama2-mindspore"


def source_digest(sources: Path = Path(__file__).parent) -> str:
    """A number of all that the machine code follows from: sources, compiler and processor.

    Numba compiles again where the sources have moved or were written anew, so that counts too: what
    one process compiles and the next one loads is not the same to the last bit.
    """
    features = binding.get_host_cpu_features().flatten()
    compiled_for = numba.__version__, binding.get_host_cpu_name(), features
    digest = hashlib.sha256(repr(compiled_for).encode())
    for path in sorted(sources.glob("*.py")):
        digest.update(repr((str(path), path.stat().st_mtime_ns)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def user_folder() -> Path:
    """The folder of these kernels in $XDG_CACHE_HOME or ~/.cache; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / NAME / f"native-{source_digest()}"


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
