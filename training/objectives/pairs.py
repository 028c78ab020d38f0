"""What the objectives on pairs of answers share: rows to sums, and pairs to a loss."""

from mindspore import dtype as mstype
from mindspore import ops


def segment_sums(values, segment_ids, slots):
    """Sums of values, (B, T), over the segments 0 to slots - 1 of each row: (B, slots)."""
    numbers = ops.arange(slots).astype(mstype.int32).reshape(1, slots, 1)
    member = ops.equal(segment_ids.expand_dims(1), numbers).astype(mstype.float32)
    return ops.reduce_sum(member * values.expand_dims(1), -1)


def sides(values):
    """The chosen and the rejected rows of values, (B, P), which alternate: two of (B / 2, P)."""
    pairs = values.reshape(-1, 2, values.shape[-1])
    return pairs[:, 0], pairs[:, 1]


def preference_loss(difference, smoothing):
    """-(1 - s) log sigmoid(d) - s log sigmoid(-d) of each pair, in nats: of d's shape.

    It is the cross-entropy of the Bradley-Terry model, in which sigmoid(d) is the probability that
    the first answer is the better one, with a share s of pairs the wrong way round.
    """
    ones = ops.ones_like(difference)
    return ops.binary_cross_entropy_with_logits(
        difference, ones * (1.0 - smoothing), ones, ones, "none"
    )
