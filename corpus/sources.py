"""The raw files of the sources."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.manifest import FORMAT_VERSION
from corpus.matching import matching_files
from corpus.registry import Reader, find_reader
from tokenizer.config import TokenizerConfig


@dataclass(frozen=True)
class Source:
    """A source of the recipe with its reader and its files."""

    config: SourceConfig
    reader: Reader
    paths: list[Path]

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.config.reader} {self.config.path}"

    def groups(self, n_bytes: int) -> Iterator[tuple[list[Path], int]]:
        """Its files in groups that are read together, each of about `n_bytes` or one large file.

        With each group comes its size.
        """
        group, size = [], 0
        for path in self.paths:
            if group and size + size_of(path) > n_bytes:
                yield group, size
                group, size = [], 0
            group.append(path)
            size += size_of(path)
        yield group, size


def find_sources(config: DataConfig) -> list[Source]:
    """The sources of a recipe with their files, fetched first where the reader knows how.

    Raises:
        UserError: no source is listed, a reader is unknown, or a source has no file.
    """
    if not config.sources:
        raise UserError("data.sources is empty; list at least one corpus to read")
    return [_find_source(source, config.kind) for source in config.sources]


def inputs_key(config: TokenizerConfig, data: DataConfig, sources: Iterable[Source], *more) -> str:
    """Hash of everything that the outcome depends on: recipe sections, raw files, `more`."""
    files = []
    for path in (path for source in sources for path in source.paths):
        with contextlib.suppress(OSError):  # it has vanished, which its reader will report
            status = path.stat()
            files.append((str(path), status.st_size, status.st_mtime_ns))
    # Who does the work changes nothing, nor what is done with the files.
    data = dataclasses.replace(data, workers=1, executor="process", part="0/1")
    data = dataclasses.replace(data, augment_delete=0.0, augment_repeat=0.0)
    known = [FORMAT_VERSION, repr(config), repr(data), files, more]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def size_of(path: Path) -> int:
    """Bytes in a file; 0 if it has vanished."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _find_source(config: SourceConfig, kind: str) -> Source:
    reader = find_reader(config.reader)
    if reader.kind != kind:
        raise UserError(
            f"data.sources: reader {config.reader} gives {reader.kind}, but data.kind is {kind}; "
            "change one of the two"
        )
    if reader.fetch and not Path(config.path).exists():
        reader.fetch(Path(config.path))
    files = matching_files(config.path)
    if not files:
        raise UserError(
            f"data.sources: no file matches {config.path} (reader {config.reader}); "
            "check the path, which is taken from the folder where the command runs"
        )
    return Source(config, reader, files)
