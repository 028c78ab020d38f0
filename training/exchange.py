"""What the ranks exchange of their `GradientBuffer`s: sums of gradients, and parts of an update.

There are three forms: for a process alone, by messages, which is MindSpore's way and works between
machines, and in shared memory, where each rank reads what it needs from the others. Each is called
with the objective's sums of this rank, which are known when its gradients are in the buffer, and
returns (done, sums): a number that says the buffer holds the gradients of all ranks, and the sums
of all. Of several ranks, `gathering` gives a cell that, once each has changed its part of some
weights' places in the buffer, brings the parts to all.
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.native.cells import one_number, operator
from model.native.gradients import GradientBuffer
from model.native.places import OWN_SIZE
from training.parallel import World
from training.shared_memory import SharedMemory


class Alone(nn.Cell):
    """One process exchanges nothing."""

    def construct(self, sums):
        """All there is."""
        return sums[:1], sums


def make_exchange(buffer: GradientBuffer, world: World, memory: SharedMemory) -> nn.Cell:
    """The form for these ranks, whose buffers are in the shared memory if there is some."""
    if world.size == 1:
        return Alone()
    return Memory(buffer, world, memory) if memory.arrays else Messages(buffer)


class Messages(nn.Cell):
    """One AllReduce of all gradients and sums, and one AllGather of all parts."""

    words = "by messages, since the ranks share no memory"

    def __init__(self, buffer: GradientBuffer):
        super().__init__(auto_prefix=False)
        self.whole, size = buffer.whole, buffer.size
        self.size = size
        self.take = operator("take", lambda whole, others: (size + others[0],))
        self.put = operator("put", one_number)
        self.reduce = ops.AllReduce()

    def construct(self, sums):
        """Sum over all ranks."""
        total = self.reduce(self.take(self.whole, sums))
        return self.put(self.whole, total), total[self.size :]

    def gathering(self, places: np.ndarray) -> nn.Cell:
        """The cell for these places."""
        return GatherByMessages(places)


class GatherByMessages(nn.Cell):
    """Called with a number that says this rank's parts are there; returns one that says all are."""

    def __init__(self, places: np.ndarray):
        super().__init__()
        self.places, size = Tensor(places, mstype.int64), int(places[:, OWN_SIZE].sum())
        self.collect = operator("collect", lambda done, places: (size,))
        self.gather = ops.AllGather()
        self.spread = operator("spread", one_number)

    def construct(self, done):
        """Gather all parts."""
        return self.spread(self.gather(self.collect(done, self.places)), self.places)


class Memory(nn.Cell):
    """Each rank sums its part of all buffers, and fetches the other parts.

    A rank passes an AllReduce when all have come to it: that of the sums, or of one number.
    """

    words = "in memory that the ranks share"

    def __init__(self, buffer: GradientBuffer, world: World, memory: SharedMemory):
        super().__init__(auto_prefix=False)
        self.memory = memory  # mapped as long as this lives
        own = memory.arrays[world.rank].ctypes.data
        self.shifts = Tensor([array.ctypes.data - own for array in memory.arrays], mstype.int64)
        part = buffer.size // world.size
        first = int(buffer.whole.asnumpy()[0])
        whole = np.array([[first, buffer.size, part, world.rank * part, 0]])
        self.whole = Tensor(whole, mstype.int64)
        self.reduce, self.sum_own = ops.AllReduce(), operator("sum_own", one_number)
        self.fetch = self.gathering(whole)

    def construct(self, sums):
        """Sum over all ranks."""
        sums = self.reduce(sums)
        return self.fetch(self.sum_own(sums[:1], self.whole, self.shifts)), sums

    def gathering(self, places: np.ndarray) -> nn.Cell:
        """The cell for these places."""
        return GatherByMemory(places, self.shifts)


class GatherByMemory(nn.Cell):
    """Called with a number that says this rank's parts are there; returns one that says all are.

    It returns when the others have read this rank's parts too, so that they may change.
    """

    def __init__(self, places: np.ndarray, shifts: Tensor):
        super().__init__()
        self.places, self.shifts = Tensor(places, mstype.int64), shifts
        self.meet, self.fetch = ops.AllReduce(), operator("fetch", one_number)

    def construct(self, done):
        """Gather all parts."""
        return self.meet(self.fetch(self.meet(done), self.places, self.shifts))
