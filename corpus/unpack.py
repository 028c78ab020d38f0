"""Files opened for reading, unpacked on the way where their name says that they are packed."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
# Unpacked at a time; so much of what comes before a damaged place can be lost.
PIECE_BYTES = 16 << 10


def _open_zst(file: BinaryIO) -> BinaryIO:
    import pyarrow  # heavy, and needed for this format alone

    # Unlike the stream reader of the package zstandard, this one notices a file that is cut short.
    return pyarrow.CompressedInputStream(file, "zstd")


UNPACKERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zst,
}

# What reading a missing, damaged or cut file raises.
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)


class _CountedFile(io.FileIO):
    """A file that counts the bytes that are taken from it."""

    def __init__(self, path: Path, count: Callable[[int], None]):
        super().__init__(path)
        self._count = count

    def readinto(self, buffer: bytearray) -> int:
        size = super().readinto(buffer)
        self._count(size)
        return size


class _UnpackedFile(io.RawIOBase):
    """An unpacked file that ends where it is damaged, so that all before reaches the reader."""

    def __init__(self, stream: BinaryIO, damage: Callable[[Exception], None]):
        self._stream = stream
        self._damage = damage

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        try:
            piece = self._stream.read1(min(len(buffer), PIECE_BYTES))
        except READ_ERRORS as error:
            self._damage(error)
            self._stream = io.BytesIO()  # what unpackers give after an error is garbage
            return 0
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def open_unpacked(
    path: Path, count: Callable[[int], None], damage: Callable[[Exception], None]
) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked by its suffix; memory is bounded whatever it unpacks to.

    `count` is given the size of each block taken from the file as it stands, `damage` the error
    that ends the unpacking early.

    Raises:
        OSError: the file cannot be opened or read.
    """
    unpack = UNPACKERS.get(path.suffix.lower())
    with io.BufferedReader(_CountedFile(path, count), BLOCK_BYTES) as packed:
        if unpack is None:
            yield packed
        else:
            yield io.BufferedReader(_UnpackedFile(unpack(packed), damage), BLOCK_BYTES)
