"""The documents of many shards under one numbering: the stable order that decides who is first."""

import bisect
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from common.errors import UserError
from corpus.dedup.signatures import BANDS, ROWS, hash_file, minhash_file
from corpus.ragged import Ragged

OPEN_SHARDS = 256
BLOCK_DOCUMENTS = 1 << 14


@dataclass(frozen=True)
class DedupShard:
    """A shard of texts and the signatures that `sign_shard` wrote of it."""

    texts: Path
    """name of the `Ragged` of UTF-8 texts, without suffix"""
    signatures: Path
    """the `output` that was given to `sign_shard`"""


class Documents:
    """Documents 0, 1, ... in the order of the shards, then of the texts within a shard."""

    def __init__(self, shards: Sequence[DedupShard]):
        """Number the documents.

        Raises:
            UserError: signatures are missing, or not those of the texts.
        """
        self.shards = list(shards)
        sizes = [len(_load(hash_file(shard.signatures))) for shard in self.shards]
        self._starts = list(itertools.accumulate(sizes, initial=0))
        # Files are read rather than mapped: pages of mapped ones count as memory of the process.
        self._texts = functools.lru_cache(OPEN_SHARDS)(self._open_texts)

    def __len__(self) -> int:
        """Number of documents."""
        return self._starts[-1]

    def place(self, number: int) -> tuple[int, int]:
        """The shard that document `number` stands in, and its index in there."""
        shard = bisect.bisect_right(self._starts, number) - 1
        return shard, number - self._starts[shard]

    def text(self, number: int, max_bytes: int | None = None) -> str:
        """The text of document `number`, or as much of it as stands in its first `max_bytes`."""
        shard, index = self.place(number)
        offsets, file = self._texts(shard)
        begin, end = offsets[index : index + 2].tolist()
        if max_bytes is None or max_bytes >= end - begin:
            return os.pread(file.fileno(), end - begin, begin).decode("utf-8")
        return os.pread(file.fileno(), max_bytes, begin).decode("utf-8", "ignore")

    def hashes(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All documents in blocks: numbers (M,) int64 and hashes (M, 2) uint64."""
        return self._blocks(hash_file)

    def band_keys(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All documents in blocks: numbers (M,) int64 and keys (M, 32, 2) uint64, one a band."""
        for numbers, rows in self._blocks(minhash_file):
            # Four 32-bit minima are a key of 128 bits as they are.
            yield numbers, rows.view(np.uint64).reshape(-1, BANDS, ROWS // 2)

    def minhashes(self, numbers: np.ndarray) -> np.ndarray:
        """MinHash values (M, 128) uint32 of the documents `numbers` (M,), in ascending order."""
        rows = np.empty((len(numbers), BANDS * ROWS), np.uint32)
        ends = np.searchsorted(numbers, self._starts)
        for shard in np.flatnonzero(np.diff(ends)):
            chosen = slice(ends[shard], ends[shard + 1])
            signed = _load(minhash_file(self.shards[shard].signatures))
            rows[chosen] = signed[numbers[chosen] - self._starts[shard]]
        return rows

    def _blocks(self, file_of: Callable[[Path], Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for shard, start in zip(self.shards, self._starts):
            mapped = _load(file_of(shard.signatures))
            n_columns = mapped.shape[1]
            for begin in range(0, len(mapped), BLOCK_DOCUMENTS):
                count = min(BLOCK_DOCUMENTS, len(mapped) - begin)
                offset = mapped.offset + begin * n_columns * mapped.itemsize
                rows = np.fromfile(mapped.filename, mapped.dtype, count * n_columns, offset=offset)
                yield start + begin + np.arange(count), rows.reshape(count, n_columns)

    def _open_texts(self, shard: int) -> tuple[np.ndarray, IO[bytes]]:
        texts = Ragged(self.shards[shard].texts, np.uint8)
        if len(texts) != self._starts[shard + 1] - self._starts[shard]:
            raise _damaged(hash_file(self.shards[shard].signatures), "it is not of these texts")
        # If all texts are empty, no file is mapped.
        file = getattr(texts.items, "filename", os.devnull)
        return np.asarray(texts.offsets), open(file, "rb", buffering=0)


def _load(file: Path) -> np.memmap:
    try:
        return np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, reason: str) -> UserError:
    return UserError(
        f"the signatures {file} cannot be used ({reason}); delete the folder work in data.dir, and "
        "run python data_process.py again"
    )
