"""Linear layers: y = x W^T + b, and their gradients.

With x (R, I), W (O, I), b (O), and dy the gradient of y, (R, O):

    dx = dy W        dW = dy^T x        db = column sums of dy

`accumulate` adds dW and db to a buffer in which they have their places, so that a gradient is
neither copied nor held a second time. model/native/products.py has y and dx; dW is cut over the
cores along its longer side. The last output is memory for rounded operands
(model/native/rounding.py), which is not looked at.
"""

from model.native.calls import (
    COUNT,
    FLOAT,
    ONE,
    ZERO,
    address,
    extent,
    flag,
    floats,
    place,
    share,
    transposed_product,
    vector,
)
from model.native.products import cut, times_weights
from model.native.rounding import operand, rounded_operands, width
from model.native.rows import add, copy, fast, fill

WITH_BIAS = 1
"""Flag of the kernels of layers that have a bias."""


def forward(context, part, parts):
    """x (R, I), W (O, I), [b (O)] -> y (R, O)."""
    rows, inner, outer = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 0)
    bias = flag(context) & WITH_BIAS
    x, w, y = operand(context, 0), operand(context, 1), address(context, 2 + bias)
    half, beta = rounded_operands(context), ZERO
    if bias:
        begin, end, left, right = cut(rows, inner, outer, half, part, parts)
        b = vector(context, 2, outer)[left:right]
        for r in range(begin, end):
            copy(floats(y + FLOAT * (r * outer + left), right - left), b)
        beta = ONE
    times_weights(y, x, w, True, rows, inner, outer, beta, half, part, parts)


def forward_shared(context, part, parts):
    """x (R, I), n W (O_i, I) -> n y (R, O_i)."""
    n, half = (context[COUNT] - 2) // 2, rounded_operands(context)
    rows, inner, x = extent(context, 0, 0), extent(context, 0, 1), operand(context, 0)
    for i in range(1, n + 1):
        w, y, outer = operand(context, i), address(context, n + i), extent(context, i, 0)
        times_weights(y, x, w, True, rows, inner, outer, ZERO, half, part, parts)


@fast
def input_gradient(context, rows, outer, inner, dy, w, dx, beta, part, parts):
    """One part of dx = dy W + beta dx."""
    half = rounded_operands(context)
    times_weights(dx, dy, w, False, rows, outer, inner, beta, half, part, parts)


@fast
def weight_gradient(context, rows, outer, inner, dy, x, dw, beta, part, parts):
    """One part of dW = dy^T x + beta dW."""
    wide = width(context)
    top, bottom = share(outer, part, parts) if outer >= inner else (0, outer)
    left, right = (0, inner) if outer >= inner else share(inner, part, parts)
    if top < bottom and left < right:
        transposed_product(
            bottom - top, right - left, rows, dy + wide * top, outer, x + wide * left, inner,
            dw + FLOAT * (top * inner + left), inner, beta, rounded_operands(context),
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
    dy, x, w = operand(context, 0), operand(context, 1), operand(context, 2)
    input_gradient(context, rows, outer, inner, dy, w, address(context, 3), ZERO, part, parts)
    weight_gradient(context, rows, outer, inner, dy, x, address(context, 4), ZERO, part, parts)
    if flag(context) & WITH_BIAS:
        left, right = share(outer, part, parts)
        fill(floats(address(context, 5) + FLOAT * left, right - left), ZERO)
        bias_gradient(rows, outer, address(context, 0), address(context, 5), part, parts)


def accumulate(context, part, parts):
    """dy (R, O), x (R, I), W (O, I), places (1 or 2) -> dx (R, I); dW, [db] are added there."""
    rows, outer, inner = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 1)
    dy, x, w = operand(context, 0), operand(context, 1), operand(context, 2)
    input_gradient(context, rows, outer, inner, dy, w, address(context, 4), ZERO, part, parts)
    weight_gradient(context, rows, outer, inner, dy, x, place(context, 3, 0), ONE, part, parts)
    if flag(context) & WITH_BIAS:
        bias_gradient(rows, outer, address(context, 0), place(context, 3, 1), part, parts)


def accumulate_shared(context, part, parts):
    """n dy (R, O_i), x (R, I), n W (O_i, I), places (n) -> dx (R, I) = sum of all dy_i W_i.

    The layers share their input; each dW_i = dy_i^T x is added to its place.
    """
    n = (context[COUNT] - 4) // 2
    rows, inner, x = extent(context, n, 0), extent(context, n, 1), operand(context, n)
    dx, beta = address(context, 2 * n + 2), ZERO
    for i in range(n):
        outer, dy, w = extent(context, i, 1), operand(context, i), operand(context, n + 1 + i)
        input_gradient(context, rows, outer, inner, dy, w, dx, beta, part, parts)
        dw, beta = place(context, 2 * n + 1, i), ONE
        weight_gradient(context, rows, outer, inner, dy, x, dw, ONE, part, parts)


def frozen(context, part, parts):
    """dy (R, O), W (O, I) -> dx (R, I), for a layer that is not trained."""
    rows, outer, inner = extent(context, 0, 0), extent(context, 0, 1), extent(context, 1, 1)
    dy, w = operand(context, 0), operand(context, 1)
    input_gradient(context, rows, outer, inner, dy, w, address(context, 2), ZERO, part, parts)
