"""Linear layers: y = x W^T + b, and their gradients.

With x (R, I), W (O, I), b (O), and dy the gradient of y, (R, O):

    dx = dy W        dW = dy^T x        db = column sums of dy

`accumulate` adds dW and db to a buffer in which they have their places, so that a gradient is
neither copied nor held a second time. Each product is cut over the cores along its longer side.
"""

from model.native.calls import (
    FLOAT,
    ONE,
    ZERO,
    address,
    extent,
    flag,
    floats,
    place,
    product,
    product_transposed,
    share,
    transposed_product,
    vector,
)
from model.native.rows import add, copy, fast, fill

WITH_BIAS = 1
"""Flag of the kernels of layers that have a bias."""


def forward(context, part, parts):
    """x (R, I), W (O, I), [b (O)] -> y (R, O)."""
    rows, inner, outer = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 0)
    bias = flag(context)
    x, w, y = address(context, 0), address(context, 1), address(context, 2 + bias)
    begin, end = share(rows, part, parts) if rows >= outer else (0, rows)
    left, right = (0, outer) if rows >= outer else share(outer, part, parts)
    beta = ZERO
    if bias:
        b = vector(context, 2, outer)[left:right]
        for r in range(begin, end):
            copy(floats(y + FLOAT * (r * outer + left), right - left), b)
        beta = ONE
    if begin < end and left < right:
        product_transposed(
            end - begin, right - left, inner, x + FLOAT * begin * inner, inner,
            w + FLOAT * left * inner, inner, y + FLOAT * (begin * outer + left), outer, beta,
        )  # fmt: skip


@fast
def input_gradient(rows, outer, inner, dy, w, dx, part, parts):
    """One part of dx = dy W."""
    begin, end = share(rows, part, parts) if rows >= inner else (0, rows)
    left, right = (0, inner) if rows >= inner else share(inner, part, parts)
    if begin < end and left < right:
        product(
            end - begin, right - left, outer, dy + FLOAT * begin * outer, outer,
            w + FLOAT * left, inner, dx + FLOAT * (begin * inner + left), inner, ZERO,
        )  # fmt: skip


@fast
def weight_gradient(rows, outer, inner, dy, x, dw, beta, part, parts):
    """One part of dW = dy^T x + beta dW."""
    top, bottom = share(outer, part, parts) if outer >= inner else (0, outer)
    left, right = (0, inner) if outer >= inner else share(inner, part, parts)
    if top < bottom and left < right:
        transposed_product(
            bottom - top, right - left, rows, dy + FLOAT * top, outer, x + FLOAT * left, inner,
            dw + FLOAT * (top * inner + left), inner, beta,
        )  # fmt: skip


@fast
def bias_gradient(rows, outer, dy, db, part, parts):
    """One part of db += column sums of dy."""
    left, right = share(outer, part, parts)
    sums = floats(db + FLOAT * left, right - left)
    for r in range(rows):
        add(sums, floats(dy + FLOAT * (r * outer + left), right - left))


def backward(context, part, parts):
    """dy (R, O), x (R, I), W (O, I) -> dx (R, I), dW (O, I), [db (O)]."""
    rows, outer, inner = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 1)
    dy, x, w = address(context, 0), address(context, 1), address(context, 2)
    input_gradient(rows, outer, inner, dy, w, address(context, 3), part, parts)
    weight_gradient(rows, outer, inner, dy, x, address(context, 4), ZERO, part, parts)
    if flag(context):
        left, right = share(outer, part, parts)
        fill(floats(address(context, 5) + FLOAT * left, right - left), ZERO)
        bias_gradient(rows, outer, dy, address(context, 5), part, parts)


def accumulate(context, part, parts):
    """dy (R, O), x (R, I), W (O, I), places (1 or 2) -> dx (R, I); dW, [db] are added there."""
    rows, outer, inner = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 1)
    dy, x, w = address(context, 0), address(context, 1), address(context, 2)
    input_gradient(rows, outer, inner, dy, w, address(context, 4), part, parts)
    weight_gradient(rows, outer, inner, dy, x, place(context, 3, 0), ONE, part, parts)
    if flag(context):
        bias_gradient(rows, outer, dy, place(context, 3, 1), part, parts)


def frozen(context, part, parts):
    """dy (R, O), W (O, I) -> dx (R, I), for a layer that is not trained."""
    rows, outer, inner = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 1)
    dy, w = address(context, 0), address(context, 1)
    input_gradient(rows, outer, inner, dy, w, address(context, 2), part, parts)
