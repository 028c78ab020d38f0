"""Reading several texts at once, id by id, with the fewest compiled graphs."""

from collections.abc import Iterator, Sequence

import numpy as np
from mindspore import Tensor
from mindspore import dtype as mstype

from generation.cache import Cache, DecodeStep, Prefill
from generation.cpu_decode import CpuDecodeStep
from model.device import on_cpu
from model.llama import Llama

SHORTEST_CACHE, CACHE_FACTOR = 256, 2
SHORTEST_PROMPT, PROMPT_FACTOR = 16, 4


def padded(length: int, shortest: int, factor: int, longest: int) -> int:
    """The smallest of shortest, shortest * factor, ... that holds `length`, at most `longest`."""
    size = shortest
    while size < length:
        size *= factor
    return min(size, longest)


class GraphStep:
    """The portable form of reading prompts and of the step, called with numpy arrays."""

    def __init__(self, network: Llama, cache: Cache):
        self.network, self.cache, self.cell = network, cache, DecodeStep(network, cache)
        self.prefills: dict[int, Prefill] = {}

    def read(self, texts: Sequence[Sequence[int]]) -> np.ndarray:
        """Read texts from their beginning; scores of their next ids, (B, V)."""
        size = padded(max(map(len, texts)), SHORTEST_PROMPT, PROMPT_FACTOR, self.cache.length)
        tokens = np.zeros((self.cache.batch, size), np.int32)
        last = np.arange(self.cache.batch, dtype=np.int32) * size
        for row, text in enumerate(texts):
            tokens[row, : len(text)] = text
            last[row] += len(text) - 1
        if size not in self.prefills:
            self.prefills[size] = Prefill(self.network, self.cache, size)
        return self.prefills[size](Tensor(tokens), Tensor(last)).asnumpy()

    def __call__(self, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Scores of the ids after tokens at positions, both (B,) int32: (B, V) float32."""
        return self.cell(Tensor(tokens), Tensor(positions)).asnumpy()


class Decoder:
    """Reads texts side by side; `positions`, (rows,), count the places of the context in use.

    Where that is done by graphs, one is compiled for each batch size (a power of two) and cache
    length that is met, and for each length of prompts with them; lengths come in few sizes. Each
    takes seconds, once.
    """

    def __init__(self, network: Llama):
        self.network = network
        self.max_seq_len = network.config.max_seq_len
        self.sees_last_document = not network.config.document_mask
        self.graphs: dict[tuple[int, int], GraphStep] = {}
        self.open(1, 1)

    def warm_up(self, texts: Sequence[Sequence[int]], new: int) -> None:
        """Compile what `begin` with the same arguments, and then `feed`, will need."""
        self.begin(texts, 0, new)
        self.feed([0] * len(texts))

    def open(self, rows: int, length: int) -> None:
        """Make room for `rows` new texts of up to `length` ids."""
        length = padded(length, SHORTEST_CACHE, CACHE_FACTOR, self.max_seq_len)
        key = (padded(rows, 1, 2, 2 * rows), length)
        if key not in self.graphs:
            self.graphs[key] = GraphStep(self.network, Cache(self.network.config, *key))
        self.step, self.cache = self.graphs[key], self.graphs[key].cache
        if on_cpu() and self.network.compute_dtype != mstype.float16:
            self.step = CpuDecodeStep(self.network, self.cache)
        self.positions = np.zeros(rows, np.int32)

    def begin(self, texts: Sequence[Sequence[int]], eos_id: int, new: int) -> np.ndarray:
        """Read texts as training saw documents begin, after an <eos>, each in one pass.

        Where attention is masked across documents, a text does not see that <eos>: it is read
        only by an empty text, and its place is used again.

        Returns:
            Scores of each text's first new id, (rows, V) float32; `new` ids may follow. The next
            call may write over them.
        """
        read = [list(self._as_read(text, eos_id)) for text in texts]
        self.open(len(read), max(map(len, read)) + new)
        scores = self.step.read(read)
        for row, ids in enumerate(read):
            self.positions[row] = len(ids) if texts[row] or self.sees_last_document else 0
        return scores[: len(read)]

    def _as_read(self, text: Sequence[int], eos_id: int) -> Iterator[int]:
        if self.sees_last_document or not text:
            yield eos_id
        yield from text

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        """Read the next id of each row, -1 for none; scores of the ids after them, (rows, V).

        The scores of a row that reads none mean nothing. The next call may write over all of them.

        Raises:
            ValueError: the cache that was opened is full.
        """
        tokens = np.asarray(tokens, np.int32)
        reads = tokens >= 0
        length = self.cache.length
        if (self.positions[reads] >= length).any():
            raise ValueError(f"the context of {length} tokens is full")
        fields = np.zeros((2, self.cache.batch), np.int32)
        fields[0, : len(tokens)] = np.maximum(tokens, 0)
        fields[1, : len(tokens)] = np.minimum(self.positions, length - 1)
        scores = self.step(*fields)
        self.positions += reads
        return scores[: len(tokens)]
