"""Products by tiles with a right factor in panels, for kernels that go on with a result at once.

A right factor X (K, N) lies in panels of as many columns as a tile has: panel after panel, each
with its K rows one behind the other, so a tile reads it as one stream. In the columns beyond N
stands anything, and so it does in those of a result, up to the next multiple of LANES. The rows of
left factors and results must be there up to the next multiple of `tile_rows`.
"""

from model.native.calls import FLOAT, floats, share
from model.native.rows import copy, fast
from model.native.tiles import tile, tile_rows, tile_vectors, turn_square, up
from model.native.vectors import LANES

BLOCK_TILES = 8
"""Tiles of rows that meet the same panels one after the other, so that both stay in the caches."""
CACHED = 192 << 10
"""Numbers of panels that leave room for such rows in a second cache of 1 MiB."""


@fast
def panel_width():
    """Numbers from one row of a panel to the next."""
    return LANES * tile_vectors()


@fast
def panel_numbers(depth, columns):
    """Numbers of a right factor in panels."""
    return depth * up(columns, panel_width())


@fast
def columns_at_once(depth):
    """Columns of a right factor that stay in the second cache, in whole panels, at least one."""
    return max(1, CACHED // (depth * panel_width())) * panel_width()


@fast
def block_rows():
    """Rows of BLOCK_TILES tiles."""
    return BLOCK_TILES * tile_rows()


@fast
def share_rows(rows, part, parts):
    """First and last but one of the rows that a part does, in whole tiles but for the last."""
    begin, end = share(up(rows, tile_rows()) // tile_rows(), part, parts)
    return begin * tile_rows(), min(end * tile_rows(), rows)


@fast
def pack(panels, x, step, depth, columns):
    """Put X (depth, columns), at an address, its rows `step` numbers apart, in panels."""
    width = panel_width()
    for c in range(0, columns, width):
        n = min(width, columns - c)
        for k in range(depth):
            target = floats(panels + FLOAT * (c * depth + k * width), n)
            copy(target, floats(x + FLOAT * (k * step + c), n))


@fast
def pack_transposed(panels, x, step, depth, columns):
    """Put the transpose of X (columns, depth), its rows `step` numbers apart, in panels."""
    width = panel_width()
    for j in range(0, columns, LANES):
        panel = panels + FLOAT * (j // width * width * depth + j % width)
        for k in range(0, depth, LANES):
            source, target = x + FLOAT * (j * step + k), panel + FLOAT * k * width
            if j + LANES <= columns and k + LANES <= depth:
                turn_square(source, step, target, width)
            else:
                _turn_edge(source, step, target, width, depth - k, columns - j)


@fast
def _turn_edge(source, step, target, width, depth, columns):
    """The same for a square that is not whole, number by number."""
    for i in range(min(columns, LANES)):
        row = floats(source + FLOAT * i * step, min(depth, LANES))
        for k in range(row.size):
            floats(target + FLOAT * k * width, LANES)[i] = row[k]


@fast
def multiply(
    out, out_step, a, a_step, transposed, rows, panels, height, first, depth, columns, beta
):
    """out (rows, columns) <- A X + beta out, or A^T X; beta is 0, or anything else for 1.

    X are `depth` rows, from `first` on, of a right factor of `height` rows in panels. The rows of A
    and of out are so many numbers apart.
    """
    width = panel_width()
    for c in range(0, columns, width):
        vectors = min(up(columns - c, LANES) // LANES, tile_vectors())
        panel = panels + FLOAT * (c * height + first * width)
        for i in range(0, rows, tile_rows()):
            tile(
                vectors, transposed, depth, a + FLOAT * (i if transposed else i * a_step), a_step,
                panel, width, LANES, out + FLOAT * (i * out_step + c), out_step, beta,
            )  # fmt: skip


@fast
def multiply_panels(out, out_step, a, a_step, rows, panels, depth, columns, beta):
    """out (rows, columns) <- A X + beta out, with all of X (depth, columns) in panels."""
    multiply(out, out_step, a, a_step, False, rows, panels, depth, 0, depth, columns, beta)
