"""Shard files: many items of different length, one after another, each found by its number.

`<name>.items` holds the elements of all items, `<name>.npy` where each item begins and the last
ends. Both are mapped, so reading one item of a shard of any size costs that item.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import PathLike, atomic_open

ITEMS_AT_ONCE = 1024


class Ragged:
    """A shard to read from: `shard[i]` is item i as a 1-d array, `len(shard)` their number."""

    def __init__(self, path: PathLike, dtype: np.dtype | str):
        """Open the shard `path` (a name without suffix) of elements of type `dtype`.

        Raises:
            UserError: a file is missing, or the two do not belong together.
        """
        items_file, ends_file = _files(path)
        try:
            self.offsets = np.load(ends_file, mmap_mode="r", allow_pickle=False)
            n_elements = items_file.stat().st_size // np.dtype(dtype).itemsize
        except (OSError, ValueError) as error:
            raise UserError(
                f"shard {path} cannot be read ({error}); delete it, and run python "
                "data_process.py again to make it anew"
            ) from error
        if self.offsets[-1] != n_elements:
            raise UserError(
                f"shard {path} is damaged; delete it, and run python data_process.py "
                "again to make it anew"
            )
        # A file of no bytes cannot be mapped.
        self.items = np.memmap(items_file, dtype, mode="r") if n_elements else np.empty(0, dtype)
        # Slicing a plain array is several times faster than slicing a map.
        self._items, self._offsets = np.asarray(self.items), np.asarray(self.offsets)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """Item `index`, a view of the file."""
        return self._items[self._offsets[index] : self._offsets[index + 1]]

    def contents(self, indices: Iterable[int]) -> Iterator[bytes]:
        """Bytes of many items; faster than one by one, but holds the whole shard in memory."""
        data, size = self._items.tobytes(), self._items.itemsize
        offsets = (self._offsets * size).tolist()
        return (data[offsets[i] : offsets[i + 1]] for i in indices)

    def text(self, index: int) -> str:
        """Item `index` of a shard of UTF-8 bytes (dtype uint8)."""
        return self[index].tobytes().decode("utf-8")


def write_ragged(path: PathLike, items: Sequence[np.ndarray], dtype: np.dtype | str) -> None:
    """Write the shard `path` (a name without suffix), atomically; its items are 1-d arrays."""
    items_file, ends_file = _files(path)
    with atomic_open(items_file) as file:
        for begin in range(0, len(items), ITEMS_AT_ONCE):
            block = np.concatenate(items[begin : begin + ITEMS_AT_ONCE])
            file.write(block.astype(dtype, copy=False))
    ends = np.cumsum([0, *map(len, items)], dtype=np.int64)
    with atomic_open(ends_file) as file:
        np.save(file, ends)


def write_texts(path: PathLike, texts: Sequence[str]) -> None:
    """Write a shard of UTF-8 texts (dtype uint8)."""
    write_ragged(path, [np.frombuffer(t.encode("utf-8"), np.uint8) for t in texts], np.uint8)


def _files(path: PathLike) -> tuple[Path, Path]:
    return Path(f"{path}.items"), Path(f"{path}.npy")
