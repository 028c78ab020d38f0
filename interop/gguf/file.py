"""GGUF files, read strictly: no length, count or offset in them is trusted.

The format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, number of
tensors and of fields; the fields, each a name, a type and a value; then name, shape, type and
offset of each tensor; then their data. Numbers are little-endian. Types and their decoding are the
`gguf` package's; its own reader allocates what a header asks for, so it is not used.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType
from gguf.quants import dequantize

from common.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_COUNT = 1 << 24
"""entries of a list, fields or tensors; no real file comes near"""
MAX_DIMS = 4
MAX_NAME = 200
ALIGNMENT = 32
NUMBERS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


@dataclass(frozen=True)
class Entry:
    """Where one tensor of a file stands."""

    shape: tuple[int, ...]
    """outermost dimension first, as in numpy"""
    dtype: GGMLQuantizationType
    begin: int
    """offset of its first byte in the file; in its header, from the first byte of all data"""
    row_bytes: int
    n_bytes: int


class GGUFFile:
    """An opened file, whose header has been checked; numbers are read when they are asked for."""

    def __init__(self, path: Path):
        """Read and check the header.

        Raises:
            UserError: this is not a sound GGUF file.
        """
        self.path = path
        with open(path, "rb") as file:
            header = _Header(path, file)
        self.fields, self.entries = header.fields, header.entries

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return self.entries[name].shape

    def read(self, name: str) -> np.ndarray:
        """A tensor as float32.

        Raises:
            UserError: its type is not known to the `gguf` package.
        """
        entry = self.entries[name]
        with open(self.path, "rb") as file:
            file.seek(entry.begin)
            data = np.frombuffer(file.read(entry.n_bytes), np.uint8).reshape(-1, entry.row_bytes)
        try:
            if entry.dtype == GGMLQuantizationType.F32:
                return data.view("<f4").reshape(entry.shape).copy()
            if entry.dtype == GGMLQuantizationType.F16:
                return data.view("<f2").astype(np.float32).reshape(entry.shape)
            return dequantize(data, entry.dtype).reshape(entry.shape)
        except NotImplementedError as error:
            raise UserError(
                f"{self.path}: tensor {name} has type {entry.dtype.name}, which cannot be read; "
                "take a file in F32, F16, BF16 or a common Q type"
            ) from error


class _Header:
    """Reads fields and tensor entries, never more than the file has."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file, self.size = path, file, path.stat().st_size
        if self.take(4) != MAGIC:
            raise self.damaged("it does not begin with GGUF")
        version = self.number("I")
        if version not in VERSIONS:
            raise self.damaged(f"its version is {version}, not one of {VERSIONS}")
        n_tensors, n_fields = self.count(), self.count()
        self.fields: dict[str, Any] = {}
        for _ in range(n_fields):
            name = self.text()
            self.fields[name] = self.value(self.kind())
        entries: dict[str, Entry] = {}
        for _ in range(n_tensors):
            name = self.text()
            if not name.isprintable() or len(name) > MAX_NAME:
                raise self.damaged("a tensor has a name that cannot be printed")
            if name in entries:
                raise self.damaged(f"tensor {name} is in it twice")
            entries[name] = self.entry(name)
        self.entries = self.placed(entries)

    def damaged(self, reason: str) -> UserError:
        return UserError(f"{self.path} is not a sound GGUF file: {reason}; fetch it again")

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > self.size - self.file.tell():
            raise self.damaged("it is cut, or a length in it is wrong")
        return self.file.read(n_bytes)

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def count(self) -> int:
        count = self.number("Q")
        if count > MAX_COUNT:
            raise self.damaged(f"it claims to have {count} entries")
        return count

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", errors="replace")

    def kind(self) -> GGUFValueType:
        code = self.number("I")
        if code not in list(GGUFValueType):
            raise self.damaged(f"a field has the unknown type {code}")
        return GGUFValueType(code)

    def value(self, kind: GGUFValueType) -> Any:
        if kind == GGUFValueType.STRING:
            return self.text()
        if kind != GGUFValueType.ARRAY:
            return self.number(NUMBERS[kind])
        kind, count = self.kind(), self.count()
        if kind == GGUFValueType.ARRAY:
            raise self.damaged("it contains a list of lists")
        if kind == GGUFValueType.STRING:
            return [self.text() for _ in range(count)]
        dtype = np.dtype(f"<{NUMBERS[kind]}")
        return np.frombuffer(self.take(count * dtype.itemsize), dtype).tolist()

    def entry(self, name: str) -> Entry:
        n_dims = self.number("I")
        if not 1 <= n_dims <= MAX_DIMS:
            raise self.damaged(f"tensor {name} has {n_dims} dimensions")
        innermost_first = [self.number("Q") for _ in range(n_dims)]
        code, offset = self.number("I"), self.number("Q")
        if code not in list(GGMLQuantizationType):
            raise self.damaged(f"tensor {name} has the unknown type {code}")
        dtype = GGMLQuantizationType(code)
        block, block_bytes = GGML_QUANT_SIZES[dtype]
        row, rows = innermost_first[0], int(np.prod(innermost_first[1:], dtype=object))
        if not row or row % block:
            raise self.damaged(f"tensor {name} has rows of {row} numbers in blocks of {block}")
        row_bytes = row // block * block_bytes
        shape = tuple(reversed(innermost_first))
        return Entry(shape, dtype, offset, row_bytes, rows * row_bytes)

    def placed(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """The entries with offsets from the start of the file; they must not overlap."""
        alignment = self.fields.get("general.alignment", ALIGNMENT)
        if type(alignment) is not int or not 1 <= alignment <= MAX_COUNT:
            raise self.damaged(f"its alignment is {alignment!r}")
        start = -(-self.file.tell() // alignment) * alignment
        placed, end = {}, start
        for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
            begin = start + entry.begin
            if begin < end or begin + entry.n_bytes > self.size:
                raise self.damaged(f"the numbers of tensor {name} are not where they should be")
            end = begin + entry.n_bytes
            placed[name] = Entry(entry.shape, entry.dtype, begin, entry.row_bytes, entry.n_bytes)
        return placed
