"""A look through the scores of a whole vocabulary on the CPU, by all threads.

Each has just written its part of them, and finds it in its nearest cache; another would fetch it
from there first.
"""

import functools

import numba
import numpy as np
from numba import njit, prange

from model.native.calls import share
from model.native.rows import fast, largest

BLOCK = 1024
"""Scores whose highest is found before it is known in which block the highest of all is."""
INFINITY = np.int32(0x7F800000)
"""Its bits; those of all finite numbers are smaller but for the sign, those of no number larger."""


@fast
def extent(bits):
    """The largest of the bits of floats, but for their signs."""
    found = np.int32(0)
    for i in range(bits.size):
        found = max(found, bits[i] & np.int32(0x7FFFFFFF))
    return found


@njit
def place_of_highest(scores, begin, end):
    """Where the highest of scores begin..end is, the first of equal ones; -1: one is not finite."""
    best, block = scores[begin], begin
    for i in range(begin, end, BLOCK):
        part = scores[i : min(i + BLOCK, end)]
        if extent(part.view(np.int32)) >= INFINITY:
            return -1
        highest = largest(part)
        if highest > best:
            best, block = highest, i
    for i in range(block, end):
        if scores[i] == best:
            return i
    return -1


@njit(parallel=True, cache=True)
def _highest(scores, parts):
    places = np.empty(parts, np.int64)
    for part in prange(parts):
        places[part] = place_of_highest(scores, *share(scores.size, part, parts))
    found = places[0]
    for place in places:
        if place < 0:
            return place
        if scores[place] > scores[found]:
            found = place
    return found


threads = functools.cache(numba.get_num_threads)


def highest(scores: np.ndarray) -> int:
    """The id of the highest score of a row, (V,) float32, the lowest of equal ones.

    -1: a score is not a finite number.
    """
    return _highest(scores, min(threads(), scores.size))
