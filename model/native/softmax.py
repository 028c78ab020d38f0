"""The softmax of attention's scores, and its gradient, between the products of a block of queries.

Row r is that of query `first` + r, and column j that of key `key` + j. Each query sees the keys
from the first of its document, in `starts`, to its own; a product's tile reads as far as one of its
rows sees, so beside what a row sees it is 0.
"""

import numpy as np

from model.native.calls import FLOAT, ONE, ZERO, floats
from model.native.rows import dot, exp, fast, fill
from model.native.tiles import up
from model.native.vectors import (
    LANES,
    lanes_largest,
    lanes_sum,
    larger,
    load,
    spread,
    store,
    within,
)

LEAST = np.float32(-3e38)


@fast
def seen(S, step, first, r, key, starts):
    """The address of row r of a block; the keys it sees, from and to; the same in whole vectors."""
    low, high = starts[first + r] - key, first + r - key + 1
    return S + FLOAT * r * step, low, high, low // LANES * LANES, up(high, LANES)


@fast
def fill_beside(row, begin, end, low, high, value):
    """Fill what of the vectors from `begin` to `end` of a row is not from `low` to `high` - 1."""
    for j in (begin, end - LANES):
        place = row + FLOAT * j
        store(place, within(load(place), low - j, high - j, value))


@fast
def empty_beside(row, begin, end, low, high):
    """Fill a row with 0 up to `low`, and from `high` on as far as a tile of its rows sees."""
    fill_beside(row, begin, end, low, high, ZERO)
    fill(floats(row, begin), ZERO)
    store(row + FLOAT * end, spread(ZERO))


@fast
def softmax(S, step, first, rows, key, starts, lse, inverse):
    """S <- exp(S - max) of what each query may see, 0 beside it; their logs and inverse sums.

    Each loop does not wait for the end of a row before it begins the next.
    """
    for r in range(rows):
        row, low, high, begin, end = seen(S, step, first, r, key, starts)
        fill_beside(row, begin, end, low, high, LEAST)
        top = load(row + FLOAT * begin)
        for j in range(begin + LANES, end, LANES):
            top = larger(load(row + FLOAT * j), top)
        lse[first + r] = lanes_largest(top)
    for r in range(rows):
        row, low, high, begin, end = seen(S, step, first, r, key, starts)
        total = spread(ZERO)
        for j in range(begin, end, LANES):
            e = exp(load(row + FLOAT * j) - lse[first + r])
            store(row + FLOAT * j, e)
            total = total + e
        empty_beside(row, begin, end, low, high)
        inverse[r] = lanes_sum(total)
    for r in range(rows):
        lse[first + r] += np.float32(np.log(inverse[r]))
        inverse[r] = ONE / inverse[r]


@fast
def score_gradient(S, P, step, first, rows, key, starts, lse, out, dout, width, size):
    """S: Q K^T -> dS, and P: dO V^T -> P, of a block of queries; 0 where they see nothing."""
    for r in range(rows):
        s, low, high, begin, end = seen(S, step, first, r, key, starts)
        p = P + FLOAT * r * step
        place = FLOAT * r * width
        d = dot(floats(out + place, size), floats(dout + place, size))
        for j in range(FLOAT * begin, FLOAT * end, FLOAT * LANES):
            e = exp(load(s + j) - lse[first + r])
            store(s + j, e * (load(p + j) - d))
            store(p + j, e)
        empty_beside(s, begin, end, low, high)
        empty_beside(p, begin, end, low, high)
