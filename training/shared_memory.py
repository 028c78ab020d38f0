"""Memory that the ranks of one machine share: an array of each, seen by all."""

import os
import secrets
from pathlib import Path

import numpy as np

from training.parallel import World, values_of_all

FOLDER = Path("/dev/shm")
"""A folder in memory, where Linux has one."""


class SharedMemory:
    """An array of float32 zeros for each rank, in memory that all of them have mapped.

    Args:
        world: this rank among all; all must make one together.
    """

    def __init__(self, world: World):
        self.world = world
        self.arrays: list[np.ndarray] | None = None
        """those of all ranks, by rank; None: they share no memory"""

    def allocate(self, size: int) -> np.ndarray:
        """This rank's array of `size` numbers; all must call it together.

        The ranks share memory if all run on one machine, and there is room in /dev/shm; else it is
        an array of this process alone. The files have no name any more when this returns, so
        nothing stays behind, however the processes end.
        """
        if self.world.size == 1:
            return np.zeros(size, np.float32)
        token = int(values_of_all(float(secrets.randbits(24)), self.world)[0])
        paths = [FOLDER / f"baby-llama2-{token:06x}-{rank}" for rank in range(self.world.size)]
        own = paths[self.world.rank]
        try:
            _create(own, size * np.float32().itemsize)
            values_of_all(0, self.world)  # all are there now, where they can be
            arrays = _mapped(paths, size)
            seen = min(values_of_all(float(arrays is not None), self.world))
        finally:
            own.unlink(missing_ok=True)
        self.arrays = arrays if seen else None
        return self.arrays[self.world.rank] if self.arrays else np.zeros(size, np.float32)


def _create(path: Path, n_bytes: int) -> None:
    """Make a file of zeros that this user alone may open; none is left if there is no room."""
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError:  # no such folder, or it is not ours to write to
        return
    try:
        os.posix_fallocate(file, 0, n_bytes)
    except OSError:
        path.unlink()
    finally:
        os.close(file)


def _mapped(paths: list[Path], size: int) -> list[np.ndarray] | None:
    """The files as arrays; None: one of them is not on this machine."""
    try:
        return [np.memmap(path, np.float32, "r+", shape=(size,)) for path in paths]
    except OSError:
        return None
