"""A number for each of many sequences: weighted sums over what a network gives for each id."""

from collections.abc import Callable

import numpy as np

from corpus.packed_rows import lay_out, plan_rows

Compute = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""tokens, targets and segment_ids, (B, T) int32 -> (B, T) float32"""
Weighted = tuple[np.ndarray, np.ndarray]
"""Ids of a sequence and a weight for each, (N,)."""


def sequence_sums(
    compute: Compute,
    read: Callable[[int], Weighted],
    lengths: np.ndarray,
    seq_len: int,
    pad_id: int,
    batch: int,
) -> np.ndarray:
    """sum over the ids of a sequence of weight * what `compute` gives: (N,) float32.

    Sequences are packed into rows of `seq_len` ids, `batch` rows at a time, so shapes are fixed.
    One that is longer than a row has NaN.

    Args:
        compute: called with a batch of rows.
        read: the sequence of a number.
        lengths: ids of each sequence, (N,).
        seq_len: ids of a row, T.
        pad_id: fills the rows.
        batch: rows that are computed at a time, B.
    """
    found = np.full(len(lengths), np.nan, np.float32)
    plan = plan_rows(np.asarray(lengths), seq_len, 0, 0)
    nothing = lay_out([], seq_len, pad_id)
    for begin in range(0, plan.n_rows, batch):
        numbers = [plan.row(index) for index in range(begin, min(begin + batch, plan.n_rows))]
        rows = [lay_out(map(read, map(int, row)), seq_len, pad_id) for row in numbers]
        rows += [nothing] * (batch - len(rows))
        tokens, targets, weight, segments = map(np.stack, zip(*rows))
        values = weight.astype(np.float64) * compute(tokens, targets, segments)
        for index, row in enumerate(numbers):
            sums = np.bincount(segments[index], values[index], minlength=len(row))
            found[row] = sums[: len(row)]
    return found


def at_end(ids: np.ndarray) -> Weighted:
    """A sequence with the weight 1 at its last id and 0 elsewhere."""
    weight = np.zeros(len(ids), np.float32)
    weight[-1] = 1
    return ids, weight
