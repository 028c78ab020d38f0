"""A part of a product with a matrix of weights, of many rows: float32 by tiles, else by oneDNN.

oneDNN copies both factors into an order that suits it. By tiles (model/native/panels.py) only the
weights are, and rows are read as they lie, which is faster where a product has many rows; with the
narrow tiles of AVX2 it is not.
"""

import numpy as np

from model.native.calls import FLOAT, HALF, ZERO, product, product_transposed, share
from model.native.panels import (
    CACHED,
    block_rows,
    columns_at_once,
    multiply_panels,
    pack,
    pack_transposed,
    panel_numbers,
    share_rows,
)
from model.native.rows import copy_rows, fast
from model.native.tiles import lines, tile_rows, tile_vectors
from model.native.vectors import LANES

LEAST_ROWS = 128
"""With fewer rows a part, putting the weights in panels takes longer than is won."""


@fast
def by_tiles(rows, depth, columns, half, parts):
    """Whether a product with a result of (rows, columns) is made of tiles."""
    fits = columns % LANES == 0 and panel_numbers(depth, 1) <= CACHED
    return half == 0 and tile_vectors() > 1 and fits and rows >= LEAST_ROWS * parts


@fast
def cut(rows, depth, columns, half, part, parts):
    """The part of a result that a part of the work does: first and last but one row, and column."""
    if by_tiles(rows, depth, columns, half, parts):
        begin, end = share_rows(rows, part, parts)
        return begin, end, 0, columns
    if rows >= columns:
        begin, end = share(rows, part, parts)
        return begin, end, 0, columns
    left, right = share(columns, part, parts)
    return 0, rows, left, right


@fast
def times_weights(y, x, w, turned, rows, depth, columns, beta, half, part, parts):
    """One part of y (rows, columns) = x X + beta y, beta 0 or 1; X = W^T if `turned`, else W.

    x, and W, which is (columns, depth) if turned, are bfloat16 if `half` is not 0.
    """
    begin, end, left, right = cut(rows, depth, columns, half, part, parts)
    wide, m, n = HALF if half else FLOAT, end - begin, right - left
    if m <= 0 or n <= 0:
        return
    x, y = x + wide * begin * depth, y + FLOAT * (begin * columns + left)
    if by_tiles(rows, depth, columns, half, parts):
        times_panels(y, x, w, turned, m, depth, columns, beta)
    elif turned:
        w += wide * left * depth
        product_transposed(m, n, depth, x, depth, w, depth, y, columns, beta, half)
    else:
        product(m, n, depth, x, depth, w + wide * left, columns, y, columns, beta, half)


@fast
def times_panels(y, x, w, turned, rows, depth, columns, beta):
    """y = x X + beta y by tiles; the last rows are copied where they are no whole tile."""
    width, block = min(columns_at_once(depth), columns), block_rows()
    memory = np.empty(panel_numbers(depth, width) + block * (depth + width) + LANES, np.float32)
    panels = lines(memory)
    spare_x = panels + FLOAT * panel_numbers(depth, width)
    spare_y = spare_x + FLOAT * block * depth
    for left in range(0, columns, width):
        n = min(width, columns - left)
        if turned:
            pack_transposed(panels, w + FLOAT * left * depth, depth, depth, n)
        else:
            pack(panels, w + FLOAT * left, columns, depth, n)
        for first in range(0, rows, block):
            m, xs = min(block, rows - first), x + FLOAT * first * depth
            out = y + FLOAT * (first * columns + left)
            if m % tile_rows():
                copy_rows(spare_x, depth, xs, depth, m, depth)
                copy_rows(spare_y, width, out, columns, m, n)
                multiply_panels(spare_y, width, spare_x, depth, m, panels, depth, n, beta)
                copy_rows(out, columns, spare_y, width, m, n)
            else:
                multiply_panels(out, columns, xs, depth, m, panels, depth, n, beta)
    memory[0] = ZERO  # it lives until here
