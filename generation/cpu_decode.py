"""The decode step on the CPU: the numbers of `DecodeStep`, from kernels that Numba compiles.

With one new id a row, the step is a walk through all weights. The kernels read them about as fast
as the memory gives them, where a graph pays for each operator and its products are made for taller
matrices. A `Parameter` lends its memory to numpy, so nothing is copied, and the cache is the one
that `Prefill` fills.
"""

import ctypes
import functools
from collections.abc import Sequence

import numba
import numpy as np
from mindspore import Parameter, nn

from generation.cache import Cache
from generation.cpu_kernels import blocks, output_layer
from model.adapters import LoraLinear
from model.block_parts import parts_of
from model.int8 import Int8Linear, Int8Llama, dequantised_rows
from model.linear import Linear
from model.llama import Llama
from model.native.processor import use_wide_vectors

LARGE_PAGE, SMALL = 2 << 20, 64 << 10
"""Bytes of a page, and of an array for which none is asked for."""
MADV_COLLAPSE = 25
CHUNK = 64
"""Ids of prompts that are read at a time."""
NO_BIAS = np.empty(0, np.float32)

Weight = np.ndarray | tuple[np.ndarray, np.ndarray]
"""(N, D) float32, or (N, D) int8 and the bits of the scales of its blocks, (N, D/32)"""


def shared(parameter: Parameter) -> np.ndarray:
    """The memory of a Parameter, until something else is put into it."""
    return parameter.asnumpy()


def weight_of(values: Parameter, scales: Parameter | None) -> Weight:
    """A matrix as the kernels take it."""
    if scales is None:
        return shared(values)
    return shared(values), shared(scales).view(np.uint16)


@functools.cache
def ask_for_large_page(number: int) -> None:
    """Ask Linux, once in a process, to make one page of 2 MiB where now are small ones.

    It takes some milliseconds, more where it fails; a system may not know how.
    """
    libc, begin = ctypes.CDLL(None), number * LARGE_PAGE
    if hasattr(libc, "madvise"):
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(LARGE_PAGE), MADV_COLLAPSE)


def use_large_pages(array: np.ndarray) -> None:
    """Have an array in large pages, where it stands; what shares a page with it goes along.

    A walk through a table in pages of 4 KiB meets a new one every 80 ns.
    """
    begin, end = array.ctypes.data, array.ctypes.data + array.nbytes
    if array.nbytes >= SMALL:
        for number in range(begin // LARGE_PAGE, -(-end // LARGE_PAGE)):
            ask_for_large_page(number)


def products(cells: Sequence[nn.Cell]) -> tuple[tuple[Weight, ...], tuple[np.ndarray, ...]]:
    """Weights and biases of dense layers; an adapter is merged, into a copy.

    Raises:
        TypeError: the kernels would leave out a part of what a cell computes.
    """
    for cell in cells:
        if type(cell) not in (Linear, Int8Linear, LoraLinear):
            raise TypeError(
                "the decode step of the CPU knows Linear, Int8Linear and LoraLinear, "
                f"not {type(cell).__name__}"
            )
    weights = tuple(
        cell.merged_weight()
        if isinstance(cell, LoraLinear)
        else weight_of(cell.weight, getattr(cell, "scales", None))
        for cell in cells
    )
    return weights, tuple(NO_BIAS if cell.bias is None else shared(cell.bias) for cell in cells)


class Layer:
    """One block with its cache; `addresses` say where they lie, as `blocks` wants them."""

    def __init__(self, block: nn.Cell, keys: Parameter, values: Parameter):
        parts = parts_of(block)
        attention, biases = products(parts.attention)
        feed_forward, _ = products(parts.feed_forward)
        self.cache = shared(keys), shared(values)
        pairs = [w if isinstance(w, tuple) else (w, NO_BIAS) for w in (*attention, *feed_forward)]
        norms = shared(parts.attention_norm), shared(parts.ffn_norm)
        self.arrays = [*(array for pair in pairs for array in pair), *biases, *norms, *self.cache]
        self.addresses = [array.ctypes.data if array.size else 0 for array in self.arrays]
        self.matrices = [matrix for matrix, _ in pairs]
        self.hidden_dim = len(self.matrices[-1])


class CpuDecodeStep:
    """Reads prompts, then maps the next id of each row to the logits of the one after it.

    It shares the memory that weights and cache have when it is made: make a new one after weights
    were put in. A row's logits do not depend, in any bit, on the other rows.
    """

    def __init__(self, network: Llama, cache: Cache):
        """Raises TypeError where the network has weights or layers that the kernels do not know."""
        use_wide_vectors()
        int8 = network if isinstance(network, Int8Llama) else None
        self.eps, self.first_rows = np.float32(network.config.norm_eps), cache.first_rows
        self.angles = network.cos.asnumpy(), network.sin.asnumpy()
        self.embedding = shared(network.embedding)
        self.embedding_scales = int8 and shared(int8.embedding_scales)
        self.layers = [Layer(*fields) for fields in zip(network.layers, cache.keys, cache.values)]
        self.norm_weight = shared(network.norm.weight)
        self.output = weight_of(network.output, int8 and int8.head.scales)
        table, arrays = shared(network.output), [a for x in self.layers for a in x.arrays]
        if any(matrix.dtype != table.dtype for x in self.layers for matrix in x.matrices):
            raise TypeError("the decode step of the CPU wants all matrices in one type of numbers")
        for array in (table, *arrays):
            use_large_pages(array)
        self.addresses = np.array([layer.addresses for layer in self.layers], np.int64)
        self.sizes = self.layers[0].hidden_dim, len(self.layers[0].cache[0])
        self.parts = numba.get_num_threads()
        self.logits = np.empty((cache.batch, len(network.output)), np.float32)

    def __call__(self, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Logits of the ids after tokens at positions, both (B,) int32: (B, V) float32.

        The next call writes over them.
        """
        return self.head(self.hidden(tokens, positions, self.first_rows))

    def read(self, texts: Sequence[Sequence[int]]) -> np.ndarray:
        """Read texts from their beginning; logits of their next ids, (B, V) float32.

        All ids of all texts are rows like those of a step: each attends to what is before it.
        """
        lengths = [len(text) for text in texts]
        tokens = np.concatenate([np.asarray(text, np.int32) for text in texts])
        positions = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
        first_rows = np.repeat(self.first_rows[: len(texts)], lengths, 0)
        chunks = [slice(i, i + CHUNK) for i in range(0, len(tokens), CHUNK)]
        hidden = [self.hidden(tokens[c], positions[c], first_rows[c]) for c in chunks]
        return self.head(np.concatenate(hidden)[np.cumsum(lengths) - 1])

    def hidden(
        self, tokens: np.ndarray, positions: np.ndarray, first_rows: np.ndarray
    ) -> np.ndarray:
        """The residual stream after the last block, (R, D), of R ids at positions of their texts.

        first_rows, (R, K), says where each id's text begins in the cache.
        """
        x, place = self.embed(tokens), (first_rows, positions, *self.angles)
        blocks(x, self.addresses, self.output, *self.sizes, place, self.eps, self.parts)
        return x

    def head(self, x: np.ndarray) -> np.ndarray:
        """Logits, (R, V), of the residual stream after the last block, (R, D), for R <= B."""
        logits = self.logits[: len(x)]
        output_layer(x, self.norm_weight, self.output, logits, self.eps, self.parts)
        return logits

    def embed(self, tokens: np.ndarray) -> np.ndarray:
        """Rows of the embedding for tokens, (B,): (B, D) float32."""
        x = self.embedding[tokens]
        if self.embedding_scales is None:
            return x
        return dequantised_rows(x, self.embedding_scales[tokens])
