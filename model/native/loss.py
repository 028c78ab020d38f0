"""Output layer and cross-entropy in float32: losses, gradients of hidden states and table.

With h (R, D), table W (V, D), targets y, and a factor f for each row:

    Z = h W^T    E = exp(Z - m)    s = row sums of E    loss = log s + m - Z[y]
    dh = f (E W / s - W[y])        dW = E^T (f h / s) - f h at the rows y

The table is gone through by blocks of rows. A block's Z is made, turned into E and multiplied by W
again while all three are in the second cache; the sums of dh and s grow from block to block, so
Z is never whole (the online softmax, arXiv:1805.02867). m is the largest logit of the first block:
only where a later one is larger by RISE, what a row has so far is rescaled. E is written to memory
once, for dW, whose product takes s into its other factor. model/native/panels.py multiplies.

E, the last output, which nobody looks at, is (blocks, rows, columns of a block), with some rows to
spare; where no gradient of the table is wanted, it is not kept.
"""

import numpy as np

from model.native.calls import (
    COUNT,
    FLOAT,
    KERNEL,
    PARTS,
    SCRATCH,
    ZERO,
    address,
    extent,
    flag,
    floats,
    integers,
    launch,
    number_pointer,
    place,
    share,
    vector,
)
from model.native.panels import (
    block_rows,
    multiply,
    multiply_panels,
    pack,
    pack_transposed,
    panel_numbers,
    share_rows,
)
from model.native.rows import (
    add,
    add_scaled,
    copy_rows,
    exp_in_place,
    fast,
    fill,
    largest,
    scale,
    scale_into,
)
from model.native.tiles import line, lines, tile_rows, up
from model.native.vectors import LANES

GRADIENT, TO_BUFFER, FROZEN = 1, 2, 4
"""Flags: gradients are wanted; that of the table is added to a buffer; it has none."""
SCALES, BEGIN, ROWS = SCRATCH, SCRATCH + 1, SCRATCH + 2
"""Places in the context: f / s of the rows of a chunk, its first row, and how many it has."""
DEPTH = 128
"""Rows that dW is summed over at a time: their part of E and of h stays in the caches."""
SPARE = 9
"""Rows of E behind those of a chunk, for its last tile, and since E begins with a cache line."""
RISE = np.float32(30)
"""e^30 times the largest vocabulary is far from what float32 can hold."""


def loss(context):
    """h (R, D), W (V, D), y (R), [f (R)], [place] -> losses (R), [dh (R, D), [dW]], E."""
    rows, parts = extent(context, 0, 0), number_pointer(context[KERNEL])[PARTS]
    chunk = rows
    if keeps(context):
        chunk = extent(context, context[COUNT] - 1, 1) - SPARE
        if not flag(context) & TO_BUFFER:
            fill(vector(context, 6, extent(context, 1, 0) * extent(context, 1, 1)), ZERO)
    scales = np.empty(chunk, np.float32)
    context[SCALES] = scales.ctypes.data
    for begin in range(0, rows, chunk):
        context[BEGIN], context[ROWS] = begin, min(chunk, rows - begin)
        launch(context, 0, parts)
        if keeps(context):
            launch(context, 1, parts)
    scales[0] = ZERO  # it lives until here


@fast
def keeps(context):
    """Whether the gradient of the table is wanted, and E for it."""
    return flag(context) & (GRADIENT | FROZEN) == GRADIENT


@fast
def outputs(context):
    """The place of the first output, after the inputs that the flags name."""
    return 3 + (flag(context) & GRADIENT) + (flag(context) & TO_BUFFER) // TO_BUFFER


@fast
def table_row(context, i):
    """A row of the table."""
    dim = extent(context, 0, 1)
    return floats(address(context, 1) + FLOAT * np.int64(i) * dim, dim)


@fast
def kept(context, block, row):
    """Where E begins for a block of the table and a row of the chunk."""
    last = context[COUNT] - 1
    rows, columns = extent(context, last, 1), extent(context, last, 2)
    return line(address(context, last)) + FLOAT * (block * rows + row) * columns


def rows_of_chunk(context, part, parts):
    """Losses of a part of the rows, dh, and E."""
    dim, vocab = extent(context, 0, 1), extent(context, 1, 0)
    columns = extent(context, context[COUNT] - 1, 2)
    begin, end = share_rows(context[ROWS], part, parts)
    if begin >= end:
        return
    rows, wide, block = end - begin, up(dim, LANES), block_rows()
    few = rows + tile_rows()
    turned_numbers, panel_total = panel_numbers(dim, columns), panel_numbers(columns, dim)
    memory = np.empty(
        2 * few * wide + turned_numbers + panel_total + block * columns + LANES, np.float32
    )
    hidden = lines(memory)
    dh, turned = hidden + FLOAT * few * wide, hidden + 2 * FLOAT * few * wide
    panels = turned + FLOAT * turned_numbers
    Z = panels + FLOAT * panel_total
    first_row = context[BEGIN] + begin
    targets = integers(context, 2, extent(context, 0, 0))[first_row : first_row + rows]
    tops, likely = np.empty(rows, np.float32), np.empty(rows, np.float32)
    sums = np.zeros(rows, np.float32)
    copy_rows(hidden, wide, address(context, 0) + FLOAT * first_row * dim, dim, rows, dim)
    for left in range(0, vocab, columns):
        wanted, weights = min(columns, vocab - left), address(context, 1) + FLOAT * left * dim
        pack_transposed(turned, weights, dim, dim, wanted)
        pack(panels, weights, dim, wanted, dim)
        for first in range(0, rows, block):
            n = min(block, rows - first)
            if keeps(context):
                Z = kept(context, left // columns, begin + first)
            x = hidden + FLOAT * first * wide
            multiply_panels(Z, columns, x, wide, n, turned, dim, wanted, 0)
            take_exponentials(
                context, Z, left, wanted, begin, first, n, targets, dh, tops, sums, likely
            )
            if flag(context) & GRADIENT:
                out = dh + FLOAT * first * wide
                multiply_panels(out, wide, Z, columns, n, panels, wanted, dim, left)
    finish(context, begin, targets, dh, tops, sums, likely)
    memory[0] = ZERO  # it lives until here


@fast
def take_exponentials(context, Z, left, wanted, begin, first, n, targets, dh, tops, sums, likely):
    """Z -> E for n rows and the block of the table from row `left` on, and what follows for s."""
    columns, dim = extent(context, context[COUNT] - 1, 2), extent(context, 0, 1)
    for r in range(first, first + n):
        z = floats(Z + FLOAT * (r - first) * columns, wanted)
        if 0 <= targets[r] - left < wanted:
            likely[r] = z[targets[r] - left]
        top = largest(z)
        if left == 0:
            tops[r] = top
        elif top > tops[r] + RISE:
            factor = np.exp(tops[r] - top)
            tops[r], sums[r] = top, sums[r] * factor
            scale(floats(dh + FLOAT * r * up(dim, LANES), dim), factor)
            rescale(context, left // columns, begin + r, factor)
        sums[r] += exp_in_place(z, tops[r])


@fast
def rescale(context, blocks, row, factor):
    """What is kept of a row's first blocks, times a factor."""
    if keeps(context):
        for block in range(blocks):
            scale(floats(kept(context, block, row), extent(context, context[COUNT] - 1, 2)), factor)


@fast
def finish(context, begin, targets, dh, tops, sums, likely):
    """Losses, f / s, and dh of a part's rows, whose E W is summed up."""
    dim, all_rows = extent(context, 0, 1), extent(context, 0, 0)
    losses = vector(context, outputs(context), all_rows)
    for r in range(targets.size):
        row = context[BEGIN] + begin + r
        losses[row] = np.float32(np.log(sums[r])) + tops[r] - likely[r]
        if flag(context) & GRADIENT:
            f = vector(context, 3, all_rows)[row]
            floats(context[SCALES], context[ROWS])[begin + r] = f / sums[r]
            out = floats(address(context, outputs(context) + 1) + FLOAT * row * dim, dim)
            scale_into(out, floats(dh + FLOAT * r * up(dim, LANES), dim), f / sums[r])
            add_scaled(out, table_row(context, targets[r]), -f)


def table_of_chunk(context, part, parts):
    """What a chunk of rows adds to a part of dW."""
    dim, vocab, last = extent(context, 0, 1), extent(context, 1, 0), context[COUNT] - 1
    rows, columns, wide = context[ROWS], extent(context, last, 2), up(dim, LANES)
    begin, end = share((vocab + columns - 1) // columns, part, parts)
    if begin == end:
        return
    dtable = place(context, 4, 0) if flag(context) & TO_BUFFER else address(context, 6)
    h = address(context, 0) + FLOAT * context[BEGIN] * dim
    memory = np.empty(rows * dim + panel_numbers(rows, dim) + columns * wide + LANES, np.float32)
    panels = lines(memory)
    out = panels + FLOAT * panel_numbers(rows, dim)
    scaled, scales = out + FLOAT * columns * wide, floats(context[SCALES], rows)
    for r in range(rows):
        scale_into(
            floats(scaled + FLOAT * r * dim, dim), floats(h + FLOAT * r * dim, dim), scales[r]
        )
    pack(panels, scaled, dim, rows, dim)
    targets = integers(context, 2, extent(context, 0, 0))[context[BEGIN] :]
    factors = vector(context, 3, extent(context, 0, 0))[context[BEGIN] :]
    for block in range(begin, end):
        left = block * columns
        wanted = min(columns, vocab - left)
        for first in range(0, rows, DEPTH):
            multiply(
                out, wide, kept(context, block, first), columns, True, wanted, panels, rows, first,
                min(DEPTH, rows - first), dim, first,
            )  # fmt: skip
        for v in range(wanted):
            row = floats(dtable + FLOAT * (left + v) * dim, dim)
            add(row, floats(out + FLOAT * v * wide, dim))
        for r in range(rows):
            if left <= targets[r] < left + wanted:
                row = floats(dtable + FLOAT * np.int64(targets[r]) * dim, dim)
                add_scaled(row, floats(h + FLOAT * r * dim, dim), -factors[r])
    memory[0] = ZERO  # it lives until here
