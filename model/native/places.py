"""Where the gradients of weights are in the buffer, as kernels of many weights find them.

Their tensor 1, `places` (n, 5), has for each weight: the address of its gradient, its size, the
size of this rank's part of it (or of all), where that begins, and whether the weight is decayed.
"""

from numba import njit

from model.native.calls import extent, floats, place, share

PLACES = 5
SIZE, OWN_SIZE, OWN_FIRST, DECAYED = range(1, PLACES)
"""What the numbers of a weight are after the address."""


@njit
def weights(context):
    """How many there are."""
    return extent(context, 1, 0)


@njit
def in_buffer(context, i, shift=0):
    """What the buffer that lies so many bytes from this rank's holds for weight i, flat."""
    size = place(context, 1, PLACES * i + SIZE)
    return floats(place(context, 1, PLACES * i) + shift, size)


@njit
def own_share(context, i, part, parts):
    """Begin and end, among the numbers of weight i, of what a part does of this rank's part."""
    begin, end = share(place(context, 1, PLACES * i + OWN_SIZE), part, parts)
    first = place(context, 1, PLACES * i + OWN_FIRST)
    return first + begin, first + end
