"""Safetensors files, read strictly: nothing in them is run, and no size in them is trusted.

The format: 8 bytes with the length n of the header, n bytes of JSON that give each tensor a type,
a shape and the range of its bytes, then those bytes, without gaps or overlaps. Numbers are
little-endian (https://huggingface.co/docs/safetensors).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import TensorSpec, serialize

from common.errors import UserError
from interop.registry import Weights

MAX_HEADER = 64 << 20
MAX_NAME = 200
# Stored as, and bytes a number. bfloat16 is the upper half of a float32.
DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
WRITTEN = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}


@dataclass(frozen=True)
class Entry:
    """Where one tensor of a file stands."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    """offset of its first byte in the file"""
    n_bytes: int


class SafetensorsFile:
    """An opened file, whose header has been checked; numbers are read when they are asked for."""

    def __init__(self, path: Path):
        """Read and check the header.

        Raises:
            UserError: this is not a sound safetensors file.
        """
        self.path = path
        self.entries = _read_header(path)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return self.entries[name].shape

    def read(self, name: str) -> np.ndarray:
        """A tensor as float32.

        Raises:
            UserError: its type is none that weights have.
        """
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise UserError(
                f"{self.path}: tensor {name} has type {entry.dtype!r}; "
                f"weights must be {', '.join(DTYPES)}"
            )
        with open(self.path, "rb") as file:
            file.seek(entry.begin)
            data = np.frombuffer(file.read(entry.n_bytes), DTYPES[entry.dtype])
        return widen(data, entry.dtype).reshape(entry.shape)


def widen(data: np.ndarray, dtype: str) -> np.ndarray:
    """Stored numbers as float32, exactly."""
    if dtype == "BF16":
        return (data.astype(np.uint32) << 16).view(np.float32)
    return data.astype(np.float32)


def narrow(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 numbers as they are stored, rounded to the nearest, ties to even.

    Raises:
        UserError: a number is too large for the type.
    """
    if dtype == "bfloat16":
        bits = values.view(np.uint32)
        narrowed = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
        finite = np.isfinite(widen(narrowed, "BF16"))
    else:
        with np.errstate(over="ignore"):
            narrowed = values.astype(WRITTEN[dtype])
        finite = np.isfinite(narrowed)
    if not finite.all():
        raise UserError(f"a weight does not fit {dtype}; choose another type")
    return narrowed


def write_safetensors(path: Path, weights: Weights, dtype: str) -> None:
    """Write float32 arrays as `dtype`: float32, float16 or bfloat16.

    The metadata say "pt": transformers refuses other words, and the layout is the same.

    Raises:
        UserError: a number is too large for the type.
    """
    # The specs hold bare addresses, so `arrays` must live until they are serialised.
    arrays = {name: narrow(np.ascontiguousarray(weights[name]), dtype) for name in weights}
    specs = {
        name: TensorSpec(
            dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes
        )
        for name, array in arrays.items()
    }
    path.write_bytes(serialize(specs, {"format": "pt"}))


def _read_header(path: Path) -> dict[str, Entry]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(MAX_HEADER, size - 8):
            raise _damaged(path, "its first 8 bytes are not the length of a header")
        header = file.read(length)
    try:
        values = json.loads(header.decode("utf-8"))
        values.pop("__metadata__", None)
        entries = {name: _entry(value, 8 + length) for name, value in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, "its header is not a list of tensors") from error
    if not all(name.isprintable() and len(name) <= MAX_NAME for name in entries):
        raise _damaged(path, "a tensor has a name that cannot be printed")
    end = 8 + length
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].n_bytes)):
        if entry.begin != end:
            raise _damaged(path, f"tensor {name} does not begin where the one before it ends")
        end += entry.n_bytes
        if entry.dtype in DTYPES:
            wanted = math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
            if entry.n_bytes != wanted:
                raise _damaged(path, f"tensor {name} has {entry.n_bytes} bytes, not {wanted}")
    if end != size:
        raise _damaged(path, f"it has {size} bytes, but its header describes {end}")
    return entries


def _entry(value: dict[str, Any], start: int) -> Entry:
    begin, end = value["data_offsets"]
    shape = tuple(value["shape"])
    numbers = (begin, end, *shape)
    if not all(type(number) is int and number >= 0 for number in numbers) or begin > end:
        raise ValueError("sizes must be whole numbers")
    return Entry(str(value["dtype"]), shape, start + begin, end - begin)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is not a sound safetensors file: {reason}; fetch or export it again")
