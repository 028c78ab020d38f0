"""The gate of SwiGLU (arXiv:2002.05202): y = silu(a) b = a s b with s = 1 / (1 + e^-a).

    db = dy a s        da = dy b (s + a s (1 - s))

What it keeps for the gradient is a and b alone.
"""

from model.native.calls import ONE, extent, share, vector
from model.native.rows import exp, fast


@fast
def gate(y, a, b):
    """y <- silu(a) b."""
    for j in range(y.size):
        y[j] = a[j] * b[j] / (ONE + exp(-a[j]))


@fast
def gate_gradient(da, db, a, b, dy):
    """The gradients of a and b."""
    for j in range(a.size):
        s = ONE / (ONE + exp(-a[j]))
        u, d = a[j] * s, dy[j]
        db[j] = d * u
        da[j] = d * b[j] * (s + u - u * s)


def forward(context, part, parts):
    """a (R, F), b (R, F) -> y (R, F)."""
    size = extent(context, 0, 0) * extent(context, 0, 1)
    i, j = share(size, part, parts)
    a, b, y = vector(context, 0, size), vector(context, 1, size), vector(context, 2, size)
    gate(y[i:j], a[i:j], b[i:j])


def backward(context, part, parts):
    """a, b, dy -> da, db, all (R, F)."""
    size = extent(context, 0, 0) * extent(context, 0, 1)
    i, j = share(size, part, parts)
    a, b, dy = vector(context, 0, size), vector(context, 1, size), vector(context, 2, size)
    da, db = vector(context, 3, size), vector(context, 4, size)
    gate_gradient(da[i:j], db[i:j], a[i:j], b[i:j], dy[i:j])
