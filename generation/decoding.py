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
    """Reads texts side by side; `positions` count the places of the context in use.

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
        self.positions = [0] * rows

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
        length, spare = self.cache.length, [0] * (self.cache.batch - len(tokens))
        if any(token >= 0 and place >= length for token, place in zip(tokens, self.positions)):
            raise ValueError(f"the context of {length} tokens is full")
        # Between two ids the caches hold weights, so each function of numpy comes from the memory.
        places = [min(place, length - 1) for place in self.positions]
        fields = np.array([[max(token, 0) for token in tokens] + spare, places + spare], np.int32)
        scores = self.step(*fields)
        self.positions = [p + int(token >= 0) for p, token in zip(self.positions, tokens)]
        return scores[: len(tokens)]
