"""Files that are either whole or absent: write under a temporary name, fsync, rename."""

import contextlib
import errno
import glob
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from common.errors import UserError

PathLike = str | Path

IMPOSSIBLE = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG)
ADVICE = (
    (
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        "make room or use another disk, and run again; what was written before is not lost",
    ),
    ((errno.EROFS, errno.EACCES, errno.EPERM), "choose a folder that you may write to"),
    ((errno.ENOTDIR, errno.EEXIST), "a file is where a folder is needed; choose another path"),
    (IMPOSSIBLE, "choose another path"),
)
"""What to do about an error of the system, by its number."""


def user_path(text: str) -> Path:
    """A path as a user writes it: `~` is the home folder, also where no shell has seen it."""
    return Path(text).expanduser()


@contextlib.contextmanager
def atomic_open(path: PathLike, mode: str = "wb") -> Iterator[IO]:
    """Open `path` for writing; it appears under its name only when the block ends without error.

    Raises:
        UserError: the disk is full, or the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            fsync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # such as of a path that cannot be
            temporary.unlink()


def remove_begun(path: PathLike) -> None:
    """Remove what `atomic_open` left of `path` in processes that were killed."""
    path = Path(path)
    for begun in path.parent.glob(f".{glob.escape(path.name)}.tmp-*"):
        begun.unlink()


def append_whole(path: PathLike, text: str) -> None:
    """Append text to a file, all of it or nothing.

    Raises:
        OSError: the disk is full, or the file cannot be written to.
    """
    data = text.encode()
    with open(path, "ab", buffering=0) as file:
        begin = file.tell()
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(begin)
            raise


@contextlib.contextmanager
def disk_errors(path: PathLike) -> Iterator[None]:
    """Turn what the system refuses while `path` is written into a `UserError`.

    Raises:
        UserError: the disk is full or read-only, or there cannot be such a file or folder.
    """
    try:
        yield
    except OSError as error:
        # numpy's tofile reports a full disk without its number.
        number = error.errno or (errno.ENOSPC if type(error) is OSError else None)
        advice = next((words for numbers, words in ADVICE if number in numbers), None)
        if advice is None or (number in IMPOSSIBLE and not _is_about(error, Path(path))):
            raise
        raise UserError(f"cannot write {path}: {os.strerror(number)}; {advice}") from error


def _is_about(error: OSError, path: Path) -> bool:
    """Whether an error names a path, a folder on the way to it, or a neighbour of it."""
    named = Path(os.fsdecode(error.filename or ""))
    return named == path or path.is_relative_to(named) or named.parent == path.parent


def fsync_folder(folder: PathLike) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    with atomic_open(path, "w") as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def read_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); delete it and make it again"
        ) from error


def sha256_file(path: PathLike) -> str:
    """SHA-256 of a file as hex, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
