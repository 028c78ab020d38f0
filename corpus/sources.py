"""The raw files of the sources, and the stream of clean documents out of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.input_file import InputFile
from corpus.progress import Progress
from corpus.registry import Reader, find_reader


@dataclass
class Source:
    """A source of the recipe with its reader and its files."""

    config: SourceConfig
    reader: Reader
    paths: list[Path]
    skipped: int = 0
    """records left out, known after a reading"""
    was_read: bool = False
    """all its files have been read once"""

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.config.reader} {self.config.path}"

    @property
    def n_bytes(self) -> int:
        """Size of all its files."""
        return sum(path.stat().st_size for path in self.paths)

    def documents(self, progress: Progress) -> Iterator[str]:
        """Documents without white space around them, the empty ones left out, file by file.

        Raises:
            UserError: there is not one document, or a file cannot be read.
        """
        # A second reading meets the same bad records; they are told only once.
        files = [InputFile(path, log_skips=not self.was_read) for path in self.paths]
        found = False
        for file in files:
            reported = 0
            for text in self.reader.read(file, self.config):
                progress.advance(file.position - reported)
                reported = file.position
                if document := text.strip():
                    found = True
                    yield document
            progress.advance(file.position - reported)
        self.skipped = sum(file.skipped for file in files)
        self.was_read = True
        if not found:
            raise UserError(
                f"data.sources: {self.name} gave no document ({self.skipped} records skipped); "
                "check the file, the reader and the field"
            )


def find_sources(config: DataConfig) -> list[Source]:
    """The sources of a recipe with their files, fetched first where the reader knows how.

    Raises:
        UserError: no source is listed, a reader is unknown, or a source has no file.
    """
    if not config.sources:
        raise UserError("data.sources is empty; list at least one corpus to read")
    return [_find_source(source) for source in config.sources]


def _find_source(config: SourceConfig) -> Source:
    reader = find_reader(config.reader)
    if reader.fetch and not Path(config.path).exists():
        reader.fetch(Path(config.path))
    # A name that is a file is no pattern, whatever brackets it has.
    names = [config.path] if Path(config.path).is_file() else glob(config.path, recursive=True)
    paths = sorted(Path(name) for name in names)
    files = [path for path in paths if path.is_file()]
    if not files:
        raise UserError(
            f"data.sources: no file matches {config.path} (reader {config.reader}); "
            "check the path, which is taken from the folder where the command runs"
        )
    return Source(config, reader, files)
