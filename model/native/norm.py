"""RMSNorm (arXiv:1910.07467) of a residual stream to which something may be added first.

With s = x + h, r = 1 / sqrt(mean(s^2) + eps) of each row, and y = s r w:

    ds' = ds + r w dy - s r^3 mean(w dy s)        dw = sum over rows of dy s r

where ds is the gradient that reaches s past the norm. Both x and h have the gradient ds'. So one
pass over memory does what takes an addition, a norm and their gradients ten.
"""

import numpy as np

from model.native.calls import (
    COUNT,
    FLOAT,
    KERNEL,
    ONE,
    PARTS,
    SCRATCH,
    ZERO,
    extent,
    flag,
    floats,
    launch,
    matrix,
    number_pointer,
    place,
    share,
    vector,
)
from model.native.rows import add, fast, fill, square_sum

WITH_RESIDUAL, TO_BUFFER = 1, 2
"""Flags: there is an h; the gradient of the weight is added to a buffer."""


@fast
def add_into(s, x, h):
    """s <- x + h."""
    for j in range(s.size):
        s[j] = x[j] + h[j]


@fast
def normalise(y, s, w, r):
    """y <- s r w."""
    for j in range(y.size):
        y[j] = s[j] * r * w[j]


@fast
def row_gradient(dx, ds, s, w, r, dy, dw, with_residual):
    """One row of ds' and what it adds to dw."""
    c = ZERO
    for j in range(dx.size):
        c += dy[j] * w[j] * s[j]
    c *= r * r * r / np.float32(dx.size)
    if with_residual:
        for j in range(dx.size):
            dx[j] = ds[j] + dy[j] * w[j] * r - s[j] * c
            dw[j] += dy[j] * s[j] * r
    else:
        for j in range(dx.size):
            dx[j] = dy[j] * w[j] * r - s[j] * c
            dw[j] += dy[j] * s[j] * r


def forward(context, part, parts):
    """x (R, D), [h (R, D)], w (D), eps (1) -> [s (R, D)], y (R, D), r (R)."""
    rows, dim = extent(context, 0, 0), extent(context, 0, 1)
    residual = flag(context) & WITH_RESIDUAL
    x, h, s, y = (
        matrix(context, 0), matrix(context, residual),
        matrix(context, 4 * residual), matrix(context, 3 + 2 * residual),
    )  # fmt: skip
    w, eps = vector(context, 1 + residual, dim), vector(context, 2 + residual, 1)[0]
    r = vector(context, 4 + 2 * residual, rows)
    begin, end = share(rows, part, parts)
    for i in range(begin, end):
        if residual:
            add_into(s[i], x[i], h[i])
        r[i] = ONE / np.sqrt(square_sum(s[i]) / np.float32(dim) + eps)
        normalise(y[i], s[i], w, r[i])


def backward(context):
    """s (R, D), w (D), r (R), [ds (R, D)], dy (R, D), [place] -> ds' (R, D), [dw (D)]."""
    dim, parts = extent(context, 0, 1), number_pointer(context[KERNEL])[PARTS]
    sums = np.zeros(parts * dim, np.float32)
    context[SCRATCH] = sums.ctypes.data
    launch(context, 0, parts)
    last = context[COUNT] - 1
    if flag(context) & TO_BUFFER:
        dw = floats(place(context, last - 1, 0), dim)
    else:
        dw = vector(context, last, dim)
        fill(dw, ZERO)
    for part in range(parts):
        add(dw, sums[part * dim : (part + 1) * dim])


def backward_rows(context, part, parts):
    """The rows of a part, and their share of dw."""
    rows, dim = extent(context, 0, 0), extent(context, 0, 1)
    residual = flag(context) & WITH_RESIDUAL
    s, w, r = matrix(context, 0), vector(context, 1, dim), vector(context, 2, rows)
    ds, dy = matrix(context, 3), matrix(context, 3 + residual)
    dx = matrix(context, 4 + residual + (flag(context) & TO_BUFFER) // TO_BUFFER)
    dw = floats(context[SCRATCH] + FLOAT * part * dim, dim)
    begin, end = share(rows, part, parts)
    for i in range(begin, end):
        row_gradient(dx[i], ds[i], s[i], w, r[i], dy[i], dw, residual)
