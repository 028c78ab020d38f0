"""Gradient of the embedding's rows, and dropout of what they and the blocks give."""

import numpy as np

from model.native.calls import (
    FLOAT,
    ONE,
    ZERO,
    address,
    extent,
    flag,
    floats,
    integers,
    place,
    share,
    vector,
)
from model.native.rows import add, fast, fill

TO_BUFFER = 1
"""Flag: the gradient is added to a buffer, and the output is a number that says it is done."""


def scatter(context, part, parts):
    """dx (R, D), ids (R), W (V, D) -> dW (V, D); or dx, ids, place -> done (1).

    dW[ids] += dx, where dW begins with zeros, or with what the buffer holds.
    A part has every `parts`-th row of the table, since frequent ids are next to each other.
    """
    rows, dim = extent(context, 0, 0), extent(context, 0, 1)
    ids = integers(context, 1, rows)
    if flag(context):
        table = place(context, 2, 0)
        vector(context, 3, 1)[0] = ONE
    else:
        table = address(context, 3)
        for v in range(part, extent(context, 2, 0), parts):
            fill(floats(table + FLOAT * v * dim, dim), ZERO)
    for r in range(rows):
        if ids[r] % parts == part:
            row = floats(table + FLOAT * ids[r] * dim, dim)
            add(row, floats(address(context, 0) + FLOAT * r * dim, dim))


@fast
def drop_row(y, x, codes, key, threshold, scale):
    """y <- scale x where code * key, modulo 2^32, is not below the threshold, else 0."""
    for j in range(y.size):
        y[j] = x[j] * scale if np.int32(codes[j] * key) >= threshold else ZERO


def drop(context, part, parts):
    """x (B T, D), codes (1, T D), keys (B), threshold (1), scale (1) -> y (B T, D).

    The gradient of x is the same of the gradient of y. model/dropout.py has the formula.
    """
    batch = extent(context, 2, 0)
    size = extent(context, 0, 0) * extent(context, 0, 1) // batch
    codes, keys = integers(context, 1, size), integers(context, 2, batch)
    threshold, scale = integers(context, 3, 1)[0], vector(context, 4, 1)[0]
    x, y = vector(context, 0, batch * size), vector(context, 5, batch * size)
    begin, end = share(size, part, parts)
    for b in range(batch):
        i, j = b * size + begin, b * size + end
        drop_row(y[i:j], x[i:j], codes[begin:end], keys[b], threshold, scale)
