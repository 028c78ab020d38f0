"""Rotary embedding (arXiv:2104.09864) of the rows of one head, in the rotate-half layout."""

from model.native.calls import FLOAT, floats
from model.native.rows import fast
from model.native.vectors import LANES, load, store


@fast
def rotate(out, out_step, x, x_step, cos, sin, time, half, factor, sign):
    """(a, b) <- factor (x cos - sign y sin, y cos + sign x sin), in `time` rows of C numbers.

    A row has C/2 of each, `half`; steps from row to row are in numbers, and all but `factor` and
    `sign` are addresses. The last vector of a half may overlap the one before, so rows are not
    rotated in place.
    """
    for t in range(time):
        source, target, angle = x + FLOAT * t * x_step, out + FLOAT * t * out_step, FLOAT * t * half
        if half < LANES:
            rotate_numbers(target, source, cos + angle, sin + angle, half, factor, sign)
            continue
        for c in range(0, half, LANES):
            at = FLOAT * min(c, half - LANES)
            rotate_vector(
                target + at, source + at, cos + angle + at, sin + angle + at, FLOAT * half,
                factor, sign,
            )  # fmt: skip


@fast
def rotate_vector(out, x, cos, sin, other, factor, sign):
    """LANES pairs; the second of each is `other` bytes behind the first."""
    p, q = load(cos) * factor, load(sin) * (sign * factor)
    first, second = load(x), load(x + other)
    store(out, first * p - second * q)
    store(out + other, second * p + first * q)


@fast
def rotate_numbers(out, x, cos, sin, half, factor, sign):
    """A row whose halves are shorter than a vector."""
    row, target = floats(x, 2 * half), floats(out, 2 * half)
    cosines, sines = floats(cos, half), floats(sin, half)
    for c in range(half):
        p, q = cosines[c] * factor, sines[c] * sign * factor
        target[c] = row[c] * p - row[half + c] * q
        target[half + c] = row[half + c] * p + row[c] * q
