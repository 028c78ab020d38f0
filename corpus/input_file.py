"""One raw file as it is read: its text, how far the reading is, and what was left out.

Nothing found in a file ends the whole run: a bad record is skipped, a file that cannot be read to
its end is used as far as it can, and one that is no text at all (an archive, a page) is left out.
All are logged in a sentence and counted.
"""

import codecs
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from corpus.file_kinds import (
    HEAD_BYTES,
    Foreign,
    encoding_hint,
    foreign_bytes,
    foreign_record,
    foreign_text,
)
from corpus.unpack import BLOCK_BYTES, open_unpacked

log = logging.getLogger(__name__)

REPORTED_SKIPS = 5
# A longer line, or a longer file that is one document, is skipped; this bounds the memory.
MAX_RECORD_BYTES = 64 << 20
BYTE_ORDER_MARK = "\ufeff"
DAMAGE_REMEDY = "what comes before is used, repair the file to have the rest"

Part = TypeVar("Part")


class InputFile:
    """A raw file. Readers take the text from it and report to it what they leave out."""

    def __init__(self, path: Path):
        """Note the path; the file is opened when it is read."""
        self.path = path
        self.position = 0
        """bytes of the file, packed as it stands, that were read so far"""
        self.record = 0
        """number, from 1, of the record (a line, a row, an entry of a list) now being read"""
        self.skipped = 0
        """records left out"""
        self.damaged = False
        """the file could not be read, or not to its end"""
        self.first_reason = ""
        """why something was left out for the first time, and where"""
        self._held_nul = False

    def skip(self, reason: str) -> None:
        """Count the present record as left out; the first few are logged."""
        self.skipped += 1
        self._note(f"{self.path}:{self.record}: {reason}")
        if self.skipped <= REPORTED_SKIPS:
            log.warning("%s:%d skipped: %s", self.path, self.record, reason)
        if self.skipped == REPORTED_SKIPS:
            self.warn("further skipped records are only counted")

    def damage(self, reason: str, remedy: str = DAMAGE_REMEDY) -> None:
        """Note that the rest of the file is lost; the first reason is logged."""
        if not self.damaged:
            self.warn(f"{reason}; {remedy}")
        self.damaged = True
        self._note(f"{self.path}: {reason}; {remedy}")

    def without_nul(self, text: str) -> str:
        """The text without NUL characters, which broken disks and programs leave; said once."""
        if "\0" not in text:
            return text
        if not self._held_nul:
            self.warn(f"record {self.record} holds NUL characters; they are removed here and below")
        self._held_nul = True
        return text.replace("\0", "")

    def warn(self, message: str) -> None:
        """Log a sentence about the file."""
        log.warning("%s: %s", self.path, message)

    def begins_with(self, signature: bytes) -> bool:
        """Whether the file is of the format with this signature, or may be a damaged one.

        For readers that open `path` themselves; another kind of file is reported.
        """
        try:
            with open(self.path, "rb") as stream:
                head = stream.read(HEAD_BYTES)
        except OSError:
            return True  # reading it will show
        found = None if head.startswith(signature) else foreign_bytes(head)
        if found:
            self._refuse(found)
        return not found

    def blocks(self) -> Iterator[bytes]:
        """The unpacked file in blocks of equal size; they end early where it is damaged."""
        return self._parts(_blocks, foreign_bytes)

    def characters(self, encoding: str) -> Iterator[str]:
        """The unpacked file as pieces of text; bytes not in the encoding become surrogates."""
        decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

        def decode(stream: BinaryIO) -> Iterator[str]:
            while block := stream.read(BLOCK_BYTES):
                yield decoder.decode(block)
            yield decoder.decode(b"", final=True)

        return self._parts(decode, lambda head: foreign_text(head, encoding))

    def lines(self, encoding: str, plain: bool = False) -> Iterator[str]:
        """The lines without their ends; one too long or not in the encoding is skipped.

        A `plain` text holds no JSON.
        """

        def check(head: bytes) -> Foreign | None:
            return foreign_text(head, encoding) or (foreign_record(head) if plain else None)

        if "\n".encode(encoding) == b"\n":
            lines, line_encoding = self._parts(_lines, check), encoding
        else:  # UTF-16 and its like
            lines = self._parts(lambda stream: _lines(_Recoded(stream, encoding)), check)
            line_encoding = "utf-8"
        for self.record, line in enumerate(lines, 1):
            if line is None:
                self.skip(f"the line is longer than {MAX_RECORD_BYTES >> 20} MiB")
                continue
            try:
                text = line.decode(line_encoding)
            except UnicodeDecodeError as error:
                hint = encoding_hint(line, encoding)
                self.skip(f"byte {error.start} of the line is not {encoding}{hint}")
                continue
            # One stands in the middle too, where files were joined.
            yield self.without_nul(text.removeprefix(BYTE_ORDER_MARK)).rstrip("\r\n")

    def text(self, encoding: str) -> str:
        """The whole file as one record; empty if it is too long or not in the encoding."""
        self.record = 1
        data = bytearray()
        for block in self._parts(
            _blocks, lambda head: foreign_text(head, encoding) or foreign_record(head)
        ):
            data += block
            if len(data) > MAX_RECORD_BYTES:
                self.skip(
                    f"the file is longer than {MAX_RECORD_BYTES >> 20} MiB, too long to be one "
                    "document; read it with txt_blank or txt_lines"
                )
                return ""
        try:
            # A file that is cut may end within a character.
            return codecs.getincrementaldecoder(encoding)().decode(data, final=not self.damaged)
        except UnicodeDecodeError as error:
            self.skip(
                f"byte {error.start} is not {encoding}{encoding_hint(data, encoding)}; name the "
                "encoding of the file in data.sources"
            )
            return ""

    def _parts(
        self,
        split: Callable[[BinaryIO], Iterator[Part]],
        check: Callable[[bytes], Foreign | None],
    ) -> Iterator[Part]:
        """What `split` takes from the unpacked bytes; it ends early where the file is damaged.

        Nothing, where `check` knows from the first bytes that the file is something else.
        """
        try:
            with open_unpacked(self.path, self._advance, self._cut) as stream:
                if found := check(stream.peek(HEAD_BYTES)[:HEAD_BYTES]):
                    self._refuse(found)
                else:
                    yield from split(stream)
        except (OSError, UnicodeError) as error:
            self._cut(error)

    def _note(self, reason: str) -> None:
        self.first_reason = self.first_reason or reason

    def _refuse(self, found: Foreign) -> None:
        self.damage(f"it is {found.what}, so it is left out", found.remedy)

    def _advance(self, n_bytes: int) -> None:
        self.position += n_bytes

    def _cut(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        self.damage(f"cannot be read past byte {self.position:,} ({reason})")


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(BLOCK_BYTES), b"")


class _Recoded:
    """Lines in UTF-8 of a stream whose line breaks are longer than one byte."""

    def __init__(self, stream: BinaryIO, encoding: str):
        self._text = io.TextIOWrapper(stream, encoding, newline="\n")

    def readline(self, limit: int) -> bytes:
        return self._text.readline(limit).encode("utf-8")


def _lines(stream: BinaryIO | _Recoded) -> Iterator[bytes | None]:
    """Lines with their ends; None for one that is longer than a record may be."""
    while line := stream.readline(MAX_RECORD_BYTES):
        if len(line) < MAX_RECORD_BYTES or line.endswith(b"\n"):
            yield line
        else:
            while line and not line.endswith(b"\n"):
                line = stream.readline(BLOCK_BYTES)
            yield None
