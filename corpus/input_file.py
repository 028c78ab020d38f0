"""One raw file as it is read: its lines, how far the reading is, and what was skipped."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Callable

from common.errors import UserError

log = logging.getLogger(__name__)

REPORTED_SKIPS = 5


class InputFile:
    """A raw file. Readers take the text from it and report to it what they leave out."""

    def __init__(self, path: Path, log_skips: bool = True):
        """Note the path; the file is opened when it is read."""
        self.path = path
        self._log_skips = log_skips
        self.position = 0
        """bytes read so far"""
        self.skipped = 0
        """records left out"""

    def skip(self, record: int, reason: str) -> None:
        """Count a record (a line, or an entry of a list) as left out; the first few are logged."""
        self.skipped += 1
        if self._log_skips and self.skipped <= REPORTED_SKIPS:
            log.warning("%s:%d skipped: %s", self.path, record, reason)
        if self._log_skips and self.skipped == REPORTED_SKIPS:
            log.warning("%s: further skipped records are only counted", self.path)

    def blocks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The file in blocks of `size` bytes.

        Raises:
            UserError: the file cannot be read.
        """
        return self._parts(lambda file: iter(lambda: file.read(size), b""))

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number (from 1) and text of each line; a line that is not UTF-8 is skipped.

        Raises:
            UserError: the file cannot be read.
        """
        for number, line in enumerate(self._parts(iter), 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                self.skip(number, f"not UTF-8 (byte {error.start} of the line)")
            else:
                yield number, text.rstrip("\r\n")

    def text(self) -> str:
        """The whole file.

        Raises:
            UserError: the file cannot be read, or it is not UTF-8.
        """
        try:
            return b"".join(self.blocks()).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.not_utf8(error.start) from error

    def not_utf8(self, offset: int) -> UserError:
        """The error of a file that is not UTF-8 from byte `offset` on."""
        return UserError(
            f"{self.path} is not UTF-8 text (byte {offset}); convert it, for example with: "
            f"iconv -f GB18030 -t UTF-8 {self.path}"
        )

    def _parts(self, split: Callable[[BinaryIO], Iterator[bytes]]) -> Iterator[bytes]:
        try:
            with open(self.path, "rb") as file:
                for part in split(file):
                    self.position += len(part)
                    yield part
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}") from error
