"""One buffer for the gradients of all weights, to which the kernels add as they compute them."""

from collections.abc import Callable

import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore import dtype as mstype

from model.native.cells import one_number, operator

ALIGNMENT = 16
"""Each gradient begins at a multiple of so many numbers: a cache line."""


def zeros(size: int) -> np.ndarray:
    """Memory of this process alone."""
    return np.zeros(size, np.float32)


class GradientBuffer(nn.Cell):
    """The gradients of `weights`, in their order, in one flat array of this process.

    Between two optimizer steps it holds zeros. `claim` hands a weight's address to the cell that
    adds to it; of the weights that no cell has claimed, the graph gives gradients to be added.

    Args:
        weights: float32 Parameters that are trained.
        table: the Parameter of the output layer, trained or not; the cells that use it do not own
            it.
        ranks: into how many equal parts the array can be cut.
        allocate: gives its memory, so many float32 zeros.
    """

    def __init__(
        self,
        weights,
        table: Parameter,
        ranks: int = 1,
        allocate: Callable[[int], np.ndarray] = zeros,
    ):
        super().__init__(auto_prefix=False)
        self.all_weights, self.table = list(weights), table
        sizes = [-(-weight.size // ALIGNMENT) * ALIGNMENT for weight in weights]
        self.size = -(-sum(sizes) // (ALIGNMENT * ranks)) * ALIGNMENT * ranks
        self.memory = allocate(self.size + ALIGNMENT)
        first = self.memory.ctypes.data
        first += -first % (ALIGNMENT * self.memory.itemsize)
        self.addresses = [first + self.memory.itemsize * sum(sizes[:i]) for i in range(len(sizes))]
        self.whole = Tensor([first, self.size], mstype.int64)
        # Its gradient is known when those of all claimed weights are in the buffer.
        self.start = Parameter(Tensor([0], mstype.float32), name="gradients_start")
        self.claimed: set[int] = set()
        self.add = operator("add_to_buffer", one_number)
        self.square_norm = operator("square_norm", one_number)
        self.clear = operator("clear", one_number)

    def address(self, weight: Parameter) -> int:
        """Where the gradient of a weight begins."""
        return self.addresses[self._index(weight)]

    def claim(self, *weights: Parameter | None) -> list[int] | None:
        """The addresses of weights to which the caller adds from now on; None: not trained."""
        indices = [self._index(weight) for weight in weights if weight is not None]
        if None in indices:
            return None
        self.claimed.update(indices)
        return [self.addresses[i] for i in indices]

    def _index(self, weight: Parameter) -> int | None:
        found = [i for i, known in enumerate(self.all_weights) if known is weight]
        return found[0] if found else None

    def unclaimed(self) -> list[Parameter]:
        """The weights whose gradients the graph has to give, for `construct`."""
        rest = [i for i in range(len(self.all_weights)) if i not in self.claimed]
        self.rest = [Tensor([self.addresses[i]], mstype.int64) for i in rest]
        return [self.all_weights[i] for i in rest]

    def construct(self, done, gradients):
        """Add the gradients of the unclaimed weights; returns a number that says all are in."""
        for gradient, place in zip(gradients, self.rest):
            done = done + self.add(gradient.reshape(-1, 1), place)
        return done
