"""Products of a block of queries with the keys that it may see, for the attention of one head.

They are made of tiles of a few rows (model/native/tiles.py), each of which begins and ends with the
keys that its rows may see, so nothing is computed above the diagonal but a part of a tile. In
memory, the rows of a head are `wide` numbers, a multiple of LANES. Those of S and P have an odd
multiple: rows an even number of cache lines apart would share few places of the cache. K and V,
whose transposes are right factors, are turned once a head, into panels.

`first` is the position of the block's first query, `key` that of its first key, a multiple of
LANES, and `starts` has the first key that each position sees.
"""

from model.native.calls import FLOAT
from model.native.rows import fast
from model.native.tiles import tile, tile_rows, tile_vectors, turn_square, up
from model.native.vectors import LANES


@fast
def row_numbers(time):
    """Numbers from one row of S to the next: an odd number of vectors, for all keys and more."""
    return up(time + tile_rows(), 2 * LANES) + LANES


@fast
def turn(target, source, time, wide):
    """Rows of `wide` numbers -> panels of LANES rows each, transposed: (wide, LANES)."""
    for t in range(0, time, LANES):
        for c in range(0, wide, LANES):
            place = target + FLOAT * (t * wide + c * LANES)
            turn_square(source + FLOAT * (t * wide + c), wide, place, LANES)


@fast
def span(i, first, key, rows, starts):
    """The keys, from `key` on, that rows i, i + 1, ... of a block's tile see: first, end."""
    return starts[first + i] - key, min(i + tile_rows(), rows) + first - key


@fast
def scores(S, step, q, k, size, wide, first, key, rows, starts):
    """S <- Q K^T for a block of queries, where they see keys; K in panels."""
    for i in range(0, rows, tile_rows()):
        low, high = span(i, first, key, rows, starts)
        panel, end = low // LANES, up(high, LANES) // LANES
        while panel < end:
            n = min(end - panel, tile_vectors())
            tile(
                n, False, size, q + FLOAT * i * wide, wide,
                k + FLOAT * (key + panel * LANES) * wide, LANES, wide * LANES,
                S + FLOAT * (i * step + panel * LANES), step, 0,
            )  # fmt: skip
            panel += n


@fast
def weighted(out, S, step, x, wide, first, key, rows, starts):
    """out (rows, wide) <- S X for a block of queries, X all rows of a head."""
    for i in range(0, rows, tile_rows()):
        low, high = span(i, first, key, rows, starts)
        for c in range(0, wide, LANES * tile_vectors()):
            tile(
                min((wide - c) // LANES, tile_vectors()), False, high - low,
                S + FLOAT * (i * step + low), step,
                x + FLOAT * ((key + low) * wide + c), wide, LANES,
                out + FLOAT * (i * wide + c), wide, 0,
            )  # fmt: skip


@fast
def weighted_back(out, S, step, x, wide, first, key, rows):
    """out += S^T X: for a block of queries, whose rows X has; `out` are all rows of a head."""
    for j in range(0, first + rows - key, tile_rows()):
        r = max(0, j + key - first)  # the first row that sees key j
        for c in range(0, wide, LANES * tile_vectors()):
            tile(
                min((wide - c) // LANES, tile_vectors()), True, rows - r,
                S + FLOAT * (r * step + j), step,
                x + FLOAT * (r * wide + c), wide, LANES,
                out + FLOAT * ((key + j) * wide + c), wide, 1,
            )  # fmt: skip
