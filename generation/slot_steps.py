"""Steps that read ids of any slots of a cache side by side: on the CPU, and as graphs."""

from dataclasses import dataclass, field

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from generation.cache import Cache, DecodeStep
from generation.cpu_decode import CpuDecodeStep
from model.llama import Llama

FEWEST_ROWS, ROWS_FACTOR = 1, 4


@dataclass
class Rows:
    """What one step reads: an id a row, at a position of a slot."""

    slots: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    """the rows whose logits are asked for"""

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slots, tokens and positions, each (R,) int32."""
        slots, tokens, positions = np.array([self.slots, self.tokens, self.positions], np.int32)
        return slots, tokens, positions

    def add(self, slot: int, token: int, position: int, wanted: bool) -> None:
        """One more row."""
        if wanted:
            self.wanted.append(len(self.tokens))
        self.slots.append(slot)
        self.tokens.append(token)
        self.positions.append(position)


class CpuSlotStep:
    """The kernels of the CPU, which take any number of rows."""

    def __init__(self, network: Llama, n_slots: int):
        self.cache = Cache(network.config, n_slots, network.config.max_seq_len)
        self.step = CpuDecodeStep(network, self.cache)

    def __call__(self, rows: Rows) -> np.ndarray:
        """Logits of the wanted rows, (W, V) float32.

        A row depends on its own text only, to the last bit, whatever stands beside it.
        """
        slots, tokens, positions = rows.arrays()
        x = self.step.hidden(tokens, positions, self.cache.first_rows[slots])[rows.wanted]
        # The step has memory for the logits of so many rows, which the next call writes over.
        at_once = self.cache.batch
        parts = [self.step.head(x[i : i + at_once]).copy() for i in range(0, len(x), at_once)]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def warm_up(self, most: int) -> None:
        """Compile the kernels."""
        for n in (1, most):
            self(Rows([0] * n, [0] * n, list(range(n)), [0]))

    def copy(self, source: int, target: int, n: int) -> None:
        """Copy the keys and values of the first n positions of a slot to another."""
        first = self.cache.first_rows[:, :, None] + np.arange(n)
        for layer in self.step.layers:
            for cache in layer.cache:
                cache[first[target]] = cache[first[source]]


class SlotDecodeStep(DecodeStep):
    """The portable step for a fixed number of rows R, each of a slot of the cache."""

    def __init__(self, network: Llama, cache: Cache, rows: int):
        super().__init__(network, cache)
        self.cache_shape, self.shape = cache.shape, (rows, *cache.shape[1:])

    def store(self, cache, rows, x):
        """Write x, (R, K C), to the cache, and read the slot of each row: (R, K, L, C)."""
        rows, slots = rows
        new = x.reshape(-1, self.config.head_dim).astype(mstype.float32)
        whole = self.scatter(cache, rows, new).reshape(self.cache_shape)
        return ops.gather(whole, slots, 0).astype(x.dtype)

    def construct(self, tokens, positions, slots):
        """Logits of the ids after tokens at positions of slots, all (R,) int32: (R, V) float32."""
        first = ops.gather(self.first_rows, slots, 0)
        rows = (first + positions.expand_dims(1)).reshape(-1)
        return self.logits(tokens, positions, (rows, slots))


class CopySlot(nn.Cell):
    """Copies all keys and values of a slot to another, both (1,) int32."""

    def __init__(self, cache: Cache):
        super().__init__(auto_prefix=False)
        self.keys, self.values = cache.keys, cache.values
        self.rows = Tensor(cache.first_rows[:, :, None] + np.arange(cache.length), mstype.int32)
        self.scatter = ops.ScatterUpdate()

    def construct(self, source, target):
        """The first numbers of all caches: who has them knows that all are copied."""
        taken = ops.gather(self.rows, source, 0).reshape(-1)
        written = ops.gather(self.rows, target, 0).reshape(-1)
        found = ()
        for keys, values in zip(self.keys, self.values):
            found += (self.scatter(keys, written, ops.gather(keys, taken, 0))[0, 0],)
            found += (self.scatter(values, written, ops.gather(values, taken, 0))[0, 0],)
        return ops.stack(found)


class GraphSlotStep:
    """Graphs for a few numbers of rows; rows that are left over write to a slot of their own."""

    def __init__(self, network: Llama, n_slots: int):
        self.network, self.spare = network, n_slots
        self.cache = Cache(network.config, n_slots + 1, network.config.max_seq_len)
        self.steps: dict[int, SlotDecodeStep] = {}
        self.copy_slot = CopySlot(self.cache)

    def __call__(self, rows: Rows) -> np.ndarray:
        """Logits of the wanted rows, (W, V) float32."""
        slots, tokens, positions = rows.arrays()
        n = len(tokens)
        size = FEWEST_ROWS
        while size < n:
            size *= ROWS_FACTOR
        if size not in self.steps:
            self.steps[size] = SlotDecodeStep(self.network, self.cache, size)
        fields = np.zeros((3, size), np.int32)
        fields[2] = self.spare
        fields[:, :n] = tokens, positions, slots
        return self.steps[size](*map(Tensor, fields)).asnumpy()[rows.wanted]

    def warm_up(self, most: int) -> None:
        """Compile a graph for each number of rows up to `most`, and the copy."""
        size = FEWEST_ROWS
        while True:
            n = min(size, most)
            self(Rows([0] * n, [0] * n, [0] * n, [0]))
            if size >= most:
                break
            size *= ROWS_FACTOR
        self.copy(self.spare, self.spare, 0)

    def copy(self, source: int, target: int, n: int) -> None:
        """Copy a slot to another; what lies behind the first n positions is written over later."""
        numbers = (Tensor(np.array([number], np.int32)) for number in (source, target))
        self.copy_slot(*numbers).asnumpy()
