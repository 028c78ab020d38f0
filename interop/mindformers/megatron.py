"""Megatron's token files: <prefix>.bin with the ids, <prefix>.idx with where documents are.

The first is our own token file in one piece. The second, little-endian: a magic number, the
version 1, a code for the type of the ids, the number n of sequences, n + 1, then the length of each
sequence (int32), its first byte (int64), and the sequences at which documents begin, and n (int64).
Here each document is one sequence, its <eos> included.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from corpus.token_file import TokenFile

MAGIC, VERSION = b"MMIDIDX\0\0", 1
HEADER = struct.Struct("<9sQBQQ")
CODES = {2: 8, 4: 4}
"""Of uint16 and int32, by bytes an id; our uint32 ids are far below 2^31."""
MAX_LENGTH = 2**31 - 1
CHUNK = 1 << 20


def write_megatron(source: TokenFile, prefix: Path, eos_id: int) -> int:
    """Write the ids of `source` and their index; returns the number of documents.

    Memory does not depend on the size. What follows the last <eos> is a document too.

    Raises:
        UserError: the disk is full, or a document is too long for the format.
    """
    width = source.dtype.itemsize
    index_path, data_path = (prefix.with_name(prefix.name + end) for end in (".idx", ".bin"))
    # The data is published before the index that describes it.
    with atomic_open(index_path, "w+b") as index, atomic_open(data_path) as data:
        index.write(HEADER.pack(MAGIC, VERSION, CODES[width], 0, 0))
        n = 0
        for lengths in document_lengths(source, data, eos_id):
            index.write(lengths.astype("<i4").tobytes())
            n += len(lengths)
        write_offsets(index, n, width)
        for begin in range(0, n + 1, CHUNK):
            index.write(np.arange(begin, min(begin + CHUNK, n + 1), dtype="<i8").tobytes())
        index.seek(0)
        index.write(HEADER.pack(MAGIC, VERSION, CODES[width], n, n + 1))
    return n


def document_lengths(source: TokenFile, data: IO, eos_id: int) -> Iterator[np.ndarray]:
    """Copy the ids of `source` to `data`; meanwhile, lengths of the documents, as they end.

    Raises:
        UserError: one has more ids than an int32 can count.
    """
    open_ids = 0
    for path, ids in source.blocks():
        data.write(ids.tobytes())
        ends = np.flatnonzero(ids == eos_id) + 1
        lengths = np.diff(ends, prepend=0)
        if len(ends):
            lengths[0] += open_ids
            open_ids = len(ids) - int(ends[-1])
        else:
            open_ids += len(ids)
        if max(open_ids, lengths.max(initial=0)) > MAX_LENGTH:
            raise UserError(
                f"{path} has {MAX_LENGTH:,} ids without an <eos> (id {eos_id}) among them, too "
                "many for one document of Megatron; was it made with another tokenizer?"
            )
        yield lengths
    if open_ids:
        yield np.array([open_ids])


def write_offsets(index: IO, n: int, width: int) -> None:
    """Append the first byte of each of n sequences to an index that ends with their lengths."""
    offset = 0
    for begin in range(0, n, CHUNK):
        index.seek(HEADER.size + 4 * begin)
        lengths = np.frombuffer(index.read(4 * min(CHUNK, n - begin)), "<i4")
        ends = offset + width * np.cumsum(lengths, dtype=np.int64)
        index.seek(0, 2)
        index.write((ends - width * lengths).astype("<i8").tobytes())
        offset = int(ends[-1])
