"""Output layer and cross-entropy with products in bfloat16; the rest is float32.

With h (R, D), table W (V, D), targets y, and a factor f for each row, for a chunk of rows at once:

    Z = h W^T        P = softmax(Z)        loss = -log P[y]
    G = f (P - onehot(y))        dh = G W        dW += G^T h

G takes the place of Z, so a chunk's logits are written, gone over once, and read by two products.
A row of a large vocabulary fits the second cache, so its three passes read memory once. The chunk's
logits, and before them the rounded operands (model/native/rounding.py), are the kernel's last
outputs, which leaves their memory to MindSpore's pool. A row of G is rounded where it stands, into
the first half of that of Z.
"""

import numpy as np

from model.native.calls import (
    COUNT,
    FLOAT,
    HALF,
    KERNEL,
    ONE,
    PARTS,
    ZERO,
    address,
    extent,
    flag,
    float_bits,
    floats,
    halves,
    integers,
    launch,
    number_pointer,
    place,
    product,
    product_transposed,
    share,
    transposed_product,
    vector,
)
from model.native.loss import BEGIN, FROZEN, GRADIENT, ROWS, TO_BUFFER, outputs
from model.native.rounding import operand, round_bits
from model.native.rows import copy, exp, exp_in_place, fast, fill, largest, scale

PIECE = 1024
"""Numbers of a row that are rounded at a time."""


@fast
def exp_sum(x, m):
    """The sum of exp(x - m), x kept."""
    total = ZERO
    for j in range(x.size):
        total += exp(x[j] - m)
    return total


def loss(context):
    """h (R, D), W (V, D), y (R), [f (R)], [place] -> losses (R), [dh (R, D), [dW]], Z.

    Z is (chunk, V).
    """
    rows, parts = extent(context, 0, 0), number_pointer(context[KERNEL])[PARTS]
    chunk = extent(context, context[COUNT] - 1, 0)
    flags = flag(context)
    if flags & GRADIENT and not flags & (TO_BUFFER | FROZEN):
        fill(vector(context, 6, extent(context, 1, 0) * extent(context, 1, 1)), ZERO)
    launch(context, 3, parts)
    for begin in range(0, rows, chunk):
        context[BEGIN], context[ROWS] = begin, min(chunk, rows - begin)
        launch(context, 0, parts)
        launch(context, 1, parts)
        if flags & GRADIENT:
            launch(context, 2, parts)


def logits(context, part, parts):
    """Z of a chunk, the part's share of the vocabulary."""
    dim, vocab = extent(context, 0, 1), extent(context, 1, 0)
    h = operand(context, 0) + HALF * context[BEGIN] * dim
    left, right = share(vocab, part, parts)
    if left < right:
        product_transposed(
            context[ROWS], right - left, dim, h, dim,
            operand(context, 1) + HALF * left * dim, dim,
            address(context, context[COUNT] - 1) + FLOAT * left, vocab, ZERO, HALF,
        )  # fmt: skip


def rows_of_chunk(context, part, parts):
    """Losses of a chunk, and Z -> G."""
    rows, vocab = extent(context, 0, 0), extent(context, 1, 0)
    Z, targets = address(context, context[COUNT] - 1), integers(context, 2, rows)
    gradient = flag(context) & GRADIENT
    piece = np.empty(PIECE, np.uint16)
    losses = vector(context, outputs(context), rows)
    begin, end = share(context[ROWS], part, parts)
    for r in range(begin, end):
        i = context[BEGIN] + r
        z, y = floats(Z + FLOAT * r * vocab, vocab), targets[i]
        m = largest(z)
        likely = z[y] - m
        if gradient:
            factor = vector(context, 3, rows)[i]
            total = exp_in_place(z, m)
            scale(z, factor / total)
            z[y] -= factor
            round_row(Z + FLOAT * r * vocab, vocab, piece)
        else:
            total = exp_sum(z, m)
        losses[i] = np.float32(np.log(total)) - likely


@fast
def round_row(place, size, piece):
    """Round a row of `size` numbers where it stands, a piece at a time."""
    for first in range(0, size, piece.size):
        n = min(piece.size, size - first)
        round_bits(piece[:n], float_bits(place + FLOAT * first, n))
        copy(halves(place + HALF * first, n), piece[:n])


def gradients(context, part, parts):
    """dh and dW of a chunk from G: the part's share of rows, and of the vocabulary."""
    dim, vocab, rows = extent(context, 0, 1), extent(context, 1, 0), context[ROWS]
    flags, step = flag(context), vocab * FLOAT // HALF
    h = operand(context, 0) + HALF * context[BEGIN] * dim
    dh = address(context, outputs(context) + 1) + FLOAT * context[BEGIN] * dim
    G, table = address(context, context[COUNT] - 1), operand(context, 1)
    dtable = address(context, 6)
    if flags & TO_BUFFER:
        dtable = place(context, 4, 0)
    begin, end = share(rows, part, parts)
    if begin < end:
        product(
            end - begin, dim, vocab, G + FLOAT * begin * vocab, step, table, dim,
            dh + FLOAT * begin * dim, dim, ZERO, HALF,
        )  # fmt: skip
    left, right = share(vocab, part, parts)
    if left < right and not flags & FROZEN:
        transposed_product(
            right - left, dim, rows, G + HALF * left, step, h, dim,
            dtable + FLOAT * left * dim, dim, ONE, HALF,
        )  # fmt: skip
