"""Readers of corpora that are tokenised already, with the tokenizer that the recipe names."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import reader

# A longer document is skipped; this bounds the memory.
MAX_DOCUMENT_TOKENS = 16 << 20


@reader("token_bin", tokens=True)
def read_token_bin(file: InputFile, source: SourceConfig, eos_id: int) -> Iterator[np.ndarray]:
    """Ids as uint16 one after another, each document ended by <eos>, without a header."""
    return _documents(_uint16_blocks(file), file, eos_id)


@reader("token_npz", tokens=True)
def read_token_npz(file: InputFile, source: SourceConfig, eos_id: int) -> Iterator[np.ndarray]:
    """The array `input_ids` of an .npz archive, each document ended by <eos>.

    The rows of a table count as one stream. The array is held in memory.
    """
    if not file.begins_with(b"PK"):
        return
    try:
        with zipfile.ZipFile(file.path) as archive, archive.open("input_ids.npy") as member:
            ids = np.lib.format.read_array(member, allow_pickle=False)
            if ids.dtype.kind not in "iu":
                raise ValueError(f"input_ids holds {ids.dtype}, not whole numbers")
            file.position = file.path.stat().st_size
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        file.damage(f"cannot be read ({error})")
        return
    yield from _documents([ids.ravel()], file, eos_id)


def _uint16_blocks(file: InputFile) -> Iterator[np.ndarray]:
    for block in file.blocks():
        n_ids, rest = divmod(len(block), 2)
        yield np.frombuffer(block, "<u2", n_ids)
        if rest:
            file.damage("it ends in the middle of an id")


def _documents(blocks: Iterable[np.ndarray], file: InputFile, eos_id: int) -> Iterator[np.ndarray]:
    """What lies between the <eos> of a stream of ids; what is empty is left out."""
    parts: list[np.ndarray] = []
    size = 0
    for ids in blocks:
        start = 0
        for end in [*np.flatnonzero(ids == eos_id), None]:
            size += len(ids[start:end])
            if size <= MAX_DOCUMENT_TOKENS:
                parts.append(ids[start:end])
            if end is not None:
                yield from _joined(parts, size, file, eos_id)
                parts, size, start = [], 0, end + 1
    yield from _joined(parts, size, file, eos_id)


def _joined(
    parts: list[np.ndarray], size: int, file: InputFile, eos_id: int
) -> Iterator[np.ndarray]:
    file.record += 1
    if size > MAX_DOCUMENT_TOKENS:
        file.skip(
            f"{size:,} tokens without <eos> (id {eos_id}); was the file made with the tokenizer "
            "of this recipe?"
        )
    elif size:
        yield np.concatenate(parts)
