"""The limit in benchmarks/decode.py: FOLDER SHAPE TYPE; reads "<batch> <new>" lines.

Each new id of a text, or of several side by side, takes at least the time in which all threads read
memory as large as the weights. This does nothing else.
"""

import argparse
import sys
import time
from pathlib import Path

import numba
import numpy as np

from benchmarks.decode_shapes import SHAPES, WEIGHTS
from generation.cpu_tiles import prefetch
from model.native.processor import use_wide_vectors

BYTES = {"float32": 4, "int8": 34 / 32}
"""Of a weight; in int8, 32 have a scale of two bytes."""
ROW, LINE = 1024, 16
"""int32 numbers that are read at a time, and those in a line of the cache."""


def main() -> None:
    """Answer lines with times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type", choices=BYTES)
    args = parser.parse_args()
    use_wide_vectors()
    weights = np.load(args.folder / WEIGHTS)
    n_bytes = int(sum(weights[name].size for name in weights.files) * BYTES[args.type])
    memory = np.ones((n_bytes // (4 * ROW), ROW), np.int32)
    threads = numba.get_num_threads()
    found = np.zeros(threads, np.int32)
    for line in sys.stdin:
        _, new = map(int, line.split())
        start = time.perf_counter()
        for _ in range(new):
            read(memory, found, threads)
        print("took", time.perf_counter() - start, "", flush=True)


@numba.njit
def combined(row):
    """All bits of a row in which an odd number of its numbers have a one."""
    bits = np.int32(0)
    for i in range(row.size):
        bits ^= row[i]
    return bits


@numba.njit(parallel=True, cache=True)
def read(memory, found, parts):
    """Read memory, (N, ROW), each thread along one line, with a row asked for before its use.

    Four rows at a time, or without asking, it took up to a half longer.
    """
    n = len(memory)
    for part in numba.prange(parts):
        bits = np.int32(0)
        for i in range(n * part // parts, n * (part + 1) // parts):
            for j in range(0, ROW, LINE):
                prefetch(memory, i + 1, j)
            bits ^= combined(memory[i])
        found[part] = bits


if __name__ == "__main__":
    main()
