"""Arrays that two ranks share, the ranks being two threads here."""

import errno
import threading

import numpy as np
import pytest

from training import shared_memory
from training.parallel import World
from training.shared_memory import SharedMemory

SIZE = 1000


@pytest.fixture
def both(monkeypatch, tmp_path):
    """`both()`: the ranks' `SharedMemory` and array, in a folder that is empty again."""
    meeting, said = threading.Barrier(2), {}

    def values_of_all(value, world):
        said[world.rank] = value
        meeting.wait(10)
        values = [said[0], said[1]]
        meeting.wait(10)
        return values

    monkeypatch.setattr(shared_memory, "values_of_all", values_of_all)
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)

    def allocate():
        memories, arrays = [SharedMemory(World(rank, 2)) for rank in (0, 1)], {}

        def of_rank(rank):
            arrays[rank] = memories[rank].allocate(SIZE)

        threads = [threading.Thread(target=of_rank, args=(rank,)) for rank in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not any(tmp_path.iterdir())
        return memories, [arrays[0], arrays[1]]

    return allocate


def test_each_rank_sees_what_the_other_writes(both):
    memories, arrays = both()
    for own, array in enumerate(arrays):
        assert array.dtype == np.float32 and array.shape == (SIZE,) and not array.any()
        array[:] = own + 1
    for memory in memories:
        assert [set(array) for array in memory.arrays] == [{1}, {2}]


def test_ranks_that_see_no_folder_have_arrays_of_their_own(both, monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path / "missing")
    memories, arrays = both()
    assert [memory.arrays for memory in memories] == [None, None]
    assert [array.shape for array in arrays] == [(SIZE,)] * 2


def test_one_rank_without_room_keeps_all_from_sharing(both, monkeypatch):
    """A page for which there is no room would kill the process that writes to it."""
    calls = []

    def once(file, offset, size):
        calls.append(size)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(shared_memory.os, "posix_fallocate", once)
    memories, arrays = both()
    assert calls == [4 * SIZE] * 2 and [memory.arrays for memory in memories] == [None, None]
    assert all(array.shape == (SIZE,) for array in arrays)


def test_a_process_alone_asks_nobody():
    memory = SharedMemory(World())
    assert memory.allocate(SIZE).shape == (SIZE,) and memory.arrays is None
