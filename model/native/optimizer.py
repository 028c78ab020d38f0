"""Norm of the gradient, AdamW and Muon in few passes over all weights.

All gradients are in one buffer. An update has two halves. The first takes gradients into moments,
and puts into the buffer in their place what the weights will follow; of each weight it needs only
the part whose moments this rank keeps. Ranks that share the moments then gather those parts
(model/native/ranks.py). The second half changes the weights. `places` says where each gradient is,
and what a rank's part of it (model/native/places.py). `scalars` are

    factor (what gradients are multiplied by), good (1, or 0: the step changes nothing),
    lr, decay, and then the optimizer's own.

A kernel's output is one number that says it is done: what must come later takes it as an input.
"""

import numpy as np

from model.native.calls import (
    COUNT,
    KERNEL,
    ONE,
    PARTS,
    SCRATCH,
    ZERO,
    double_pointer,
    extent,
    floats,
    launch,
    number_pointer,
    place,
    product,
    product_transposed,
    share,
    transposed_product,
    vector,
)
from model.native.places import DECAYED, OWN_SIZE, PLACES, SIZE, in_buffer, own_share
from model.native.rows import add, copy, fast, fill, scale, square_sum

PIECE = 4096
"""Numbers that are summed in float32; sums of pieces are added in float64."""
FACTOR, GOOD, RATE, DECAY, OWN = range(5)
"""Places in `scalars`."""
ROUNDS = 5
# Newton-Schulz: a singular value s becomes a s + b s^3 + c s^5 (training/optimizers/muon.py).
A, B, C = np.float32(3.4445), np.float32(-4.7750), np.float32(2.0315)


def square_norm(context):
    """buffer (address, size), done (1) -> the sum of its squares (1)."""
    parts = number_pointer(context[KERNEL])[PARTS]
    sums = np.zeros(parts, np.float64)
    context[SCRATCH] = sums.ctypes.data
    launch(context, 0, parts)
    total = 0.0
    for part in range(parts):
        total += sums[part]
    vector(context, 2, 1)[0] = np.float32(total)


def square_norm_part(context, part, parts):
    """The sum of a part, in the driver's memory."""
    begin, end = share(place(context, 0, 1), part, parts)
    x, total = floats(place(context, 0, 0), place(context, 0, 1)), 0.0
    for i in range(begin, end, PIECE):
        total += np.float64(square_sum(x[i : min(i + PIECE, end)]))
    double_pointer(context[SCRATCH])[part] = total


def clear(context, part, parts):
    """buffer (address, size), done (1) -> done (1): the buffer is filled with zeros."""
    begin, end = share(place(context, 0, 1), part, parts)
    fill(floats(place(context, 0, 0), place(context, 0, 1))[begin:end], ZERO)
    vector(context, 2, 1)[0] = ONE


def add_to_buffer(context, part, parts):
    """gradient (rows, columns), place -> done (1): the gradient is added to its place."""
    size = extent(context, 0, 0) * extent(context, 0, 1)
    begin, end = share(size, part, parts)
    add(floats(place(context, 1, 0), size)[begin:end], vector(context, 0, size)[begin:end])
    vector(context, 2, 1)[0] = ONE


@fast
def adamw_row(m, v, g, factor, beta1, beta2, eps):
    """m <- b1 m + (1 - b1) f g, v <- b2 v + (1 - b2) (f g)^2, g <- m / (sqrt(v) + eps)."""
    for i in range(g.size):
        x = g[i] * factor
        a = beta1 * m[i] + (ONE - beta1) * x
        b = beta2 * v[i] + (ONE - beta2) * x * x
        m[i] = a
        v[i] = b
        g[i] = a / (np.sqrt(b) + eps)


def adamw(context, part, parts):
    """scalars (7), places, done, m, v (n each) -> done (1): the first half of AdamW.

    lr, decay and eps hold the corrections of bias (training/optimizers/adamw.py); own scalars are
    beta1, beta2, eps.
    """
    n = (context[COUNT] - 4) // 2
    s = vector(context, 0, OWN + 3)
    vector(context, 3 + 2 * n, 1)[0] = ONE
    if s[GOOD] == ZERO:
        return
    for i in range(n):
        size = place(context, 1, PLACES * i + OWN_SIZE)
        begin, end = share(size, part, parts)
        first, last = own_share(context, i, part, parts)
        m, v = vector(context, 3 + i, size), vector(context, 3 + n + i, size)
        adamw_row(
            m[begin:end], v[begin:end], in_buffer(context, i)[first:last],
            s[FACTOR], s[OWN], s[OWN + 1], s[OWN + 2],
        )  # fmt: skip


@fast
def descend_row(w, x, rate, decay):
    """w -= lr (x + decay w)."""
    for i in range(w.size):
        w[i] -= rate * (x[i] + decay * w[i])


def descend(context, part, parts):
    """scalars (7), places, done, weights (n) -> done (1): the second half of AdamW."""
    n = context[COUNT] - 4
    s = vector(context, 0, OWN + 3)
    vector(context, 3 + n, 1)[0] = ONE
    if s[GOOD] == ZERO:
        return
    for i in range(n):
        size = place(context, 1, PLACES * i + SIZE)
        decay = s[DECAY] if place(context, 1, PLACES * i + DECAYED) else ZERO
        begin, end = share(size, part, parts)
        w = vector(context, 3 + i, size)
        descend_row(w[begin:end], in_buffer(context, i)[begin:end], s[RATE], decay)


@fast
def momentum_row(m, g, factor, momentum):
    """m <- momentum m + factor g."""
    for i in range(m.size):
        m[i] = momentum * m[i] + factor * g[i]


@fast
def look_ahead(m, g, factor, momentum):
    """g <- factor g + momentum m (Nesterov)."""
    for i in range(g.size):
        g[i] = factor * g[i] + momentum * m[i]


def momentum(context, part, parts):
    """scalars (5), places, done, m (n) -> done (1): the first half of Muon."""
    n = context[COUNT] - 4
    s = vector(context, 0, OWN + 1)
    vector(context, 3 + n, 1)[0] = ONE
    if s[GOOD] == ZERO:
        return
    for i in range(n):
        size = place(context, 1, PLACES * i + OWN_SIZE)
        begin, end = share(size, part, parts)
        first, last = own_share(context, i, part, parts)
        m, g = vector(context, 3 + i, size)[begin:end], in_buffer(context, i)[first:last]
        momentum_row(m, g, s[FACTOR], s[OWN])
        look_ahead(m, g, s[FACTOR], s[OWN])


@fast
def step_row(w, x, keep, rate):
    """w <- keep w - rate x."""
    for i in range(w.size):
        w[i] = keep * w[i] - rate * x[i]


@fast
def add_diagonal(q, side, value):
    """q <- q + value I, for q (side, side)."""
    for i in range(side):
        q[i * side + i] += value


def muon(context):
    """scalars (5), places, done, weights (n) -> done (1): the second half of Muon.

    w <- (1 - lr decay) w - lr 0.2 sqrt(max(rows, columns)) O(x), for x in the buffer, each matrix
    by one core; own scalar: momentum.
    """
    n = context[COUNT] - 4
    vector(context, 3 + n, 1)[0] = ONE
    if vector(context, 0, OWN + 1)[GOOD] != ZERO:
        launch(context, 0, n)


def muon_matrix(context, i, n):
    """Update weight i; O(X) = U V^T of X = U S V^T by Newton-Schulz.

    With r = sqrt(c), s = b / 2 r and d = a - s^2, and X scaled by sqrt(r), a round is
    X <- ((Q + s)^2 + d) X with Q = X X^T, or X ((X^T X + s)^2 + d) if X is tall.
    """
    rows, columns = extent(context, 3 + i, 0), extent(context, 3 + i, 1)
    size, side, tall = rows * columns, min(rows, columns), rows > columns
    s = vector(context, 0, OWN + 1)
    memory = np.empty(2 * size + 2 * side * side, np.float32)
    x, y, q, p = (
        memory[:size], memory[size : 2 * size],
        memory[2 * size : 2 * size + side * side], memory[2 * size + side * side :],
    )  # fmt: skip
    copy(x, in_buffer(context, i))
    total = 0.0
    for begin in range(0, size, PIECE):
        total += np.float64(square_sum(x[begin : min(begin + PIECE, size)]))
    root = np.float32(np.sqrt(C))
    shift = B / (root + root)
    scale(x, np.float32(np.sqrt(root)) / (np.float32(np.sqrt(total)) + np.float32(1e-7)))
    for _ in range(ROUNDS):
        at, to = x.ctypes.data, y.ctypes.data
        if tall:
            transposed_product(side, side, rows, at, side, at, side, q.ctypes.data, side, ZERO)
        else:
            product_transposed(
                side, side, columns, at, columns, at, columns, q.ctypes.data, side, ZERO
            )
        add_diagonal(q, side, shift)
        product(
            side, side, side, q.ctypes.data, side, q.ctypes.data, side, p.ctypes.data, side, ZERO
        )
        add_diagonal(p, side, A - shift * shift)
        if tall:
            product(rows, side, side, at, side, p.ctypes.data, side, to, side, ZERO)
        else:
            product(side, columns, side, p.ctypes.data, side, at, columns, to, columns, ZERO)
        x, y = y, x
    rate = s[RATE] * np.float32(0.2 * np.sqrt(max(rows, columns))) / np.float32(np.sqrt(root))
    step_row(vector(context, 3 + i, size), x, ONE - s[RATE] * s[DECAY], rate)
    memory[0] = ZERO  # it lives until here
