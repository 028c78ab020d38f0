"""Where compiled kernels are kept: folders of the user's cache, named after their sources."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

NAME = "baby-llama2-mindspore"


def user_cache() -> Path:
    """This project's folder in $XDG_CACHE_HOME or ~/.cache; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / NAME


def source_digest(sources: Iterable[Path], *others: object) -> str:
    """A number of all that machine code follows from: its sources, and what else is given.

    Numba itself looks only at the file of a kernel: it would also load machine code that was
    compiled with another version of what the kernel calls. And it compiles again where a file has
    moved or was written anew, so its place and time count too: what one process compiles and the
    next one loads is not the same to the last bit.
    """
    digest = hashlib.sha256(repr(others).encode())
    for path in sorted(sources):
        digest.update(repr((str(path), path.stat().st_mtime_ns)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
