"""What ranks exchange of their buffers: by messages, or in memory that they share.

Where a weight is parted, the ranks' parts are equal, and in the order of the ranks. `shifts` has a
number for each rank: how many bytes its buffer lies from this rank's, all being mapped here.
"""

from model.native.calls import ONE, extent, floats, place, share, vector
from model.native.places import OWN_FIRST, OWN_SIZE, PLACES, in_buffer, own_share, weights
from model.native.rows import add, copy

PIECE = 4096
"""Numbers that stay in a core's first cache while those of all ranks are added to them."""


def take(context, part, parts):
    """buffer (address, size), others (n) -> a copy of the buffer, and of the others (size + n)."""
    size, n = place(context, 0, 1), extent(context, 1, 0)
    begin, end = share(size, part, parts)
    copy(vector(context, 2, size)[begin:end], floats(place(context, 0, 0), size)[begin:end])
    if part == 0:
        copy(vector(context, 2, size + n)[size:], vector(context, 1, n))


def put(context, part, parts):
    """buffer (address, size), numbers (size + n) -> done (1): the buffer holds the first ones."""
    size = place(context, 0, 1)
    begin, end = share(size, part, parts)
    copy(floats(place(context, 0, 0), size)[begin:end], vector(context, 1, size)[begin:end])
    vector(context, 2, 1)[0] = ONE


def collect(context, part, parts):
    """done (1), places -> what the buffer holds of this rank's parts, one after another."""
    out, at = vector(context, 2, extent(context, 2, 0)), 0
    for i in range(weights(context)):
        begin, end = own_share(context, i, part, parts)
        first = at - place(context, 1, PLACES * i + OWN_FIRST)
        copy(out[first + begin : first + end], in_buffer(context, i)[begin:end])
        at += place(context, 1, PLACES * i + OWN_SIZE)


def spread(context, part, parts):
    """parts of all ranks, as `collect` gives them, places -> done (1): the buffer holds them."""
    total, stride, at = extent(context, 0, 0), 0, 0
    numbers = vector(context, 0, total)
    for i in range(weights(context)):
        stride += place(context, 1, PLACES * i + OWN_SIZE)
    for i in range(weights(context)):
        size = place(context, 1, PLACES * i + OWN_SIZE)
        begin, end = share(size, part, parts)
        for rank in range(total // stride):
            source, target = rank * stride + at, rank * size
            copy(
                in_buffer(context, i)[target + begin : target + end],
                numbers[source + begin : source + end],
            )
        at += size
    vector(context, 2, 1)[0] = ONE


def sum_own(context, part, parts):
    """done (1), places, shifts -> done (1): this rank's parts hold the sums of all ranks'."""
    for i in range(weights(context)):
        begin, end = own_share(context, i, part, parts)
        for piece in range(begin, end, PIECE):
            last = min(piece + PIECE, end)
            for rank in range(extent(context, 2, 0)):
                shift = place(context, 2, rank)
                if shift != 0:
                    add(in_buffer(context, i)[piece:last], in_buffer(context, i, shift)[piece:last])
    vector(context, 3, 1)[0] = ONE


def fetch(context, part, parts):
    """done (1), places, shifts -> done (1): the other ranks' parts hold what theirs do."""
    for i in range(weights(context)):
        size = place(context, 1, PLACES * i + OWN_SIZE)
        begin, end = share(size, part, parts)
        for rank in range(extent(context, 2, 0)):
            shift, first = place(context, 2, rank), rank * size
            if shift != 0:
                copy(
                    in_buffer(context, i)[first + begin : first + end],
                    in_buffer(context, i, shift)[first + begin : first + end],
                )
    vector(context, 3, 1)[0] = ONE
