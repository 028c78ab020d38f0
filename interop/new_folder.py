"""A folder that is whole or absent."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.files import disk_errors, fsync_folder


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder, which becomes `path` when the block ends without error.

    Raises:
        UserError: `path` is a file or a folder that is not empty, or the disk is full.
    """
    with disk_errors(path):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise UserError(f"{path} exists already; choose another folder or delete it")
        path = path.resolve()
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with disk_errors(path):
            temporary.mkdir(parents=True)
            yield temporary
            for inside in (temporary, *temporary.rglob("*")):
                fsync_folder(inside)  # files are synced in the same way
            os.replace(temporary, path)
            fsync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
