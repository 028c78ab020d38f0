"""The highest score of a row against numpy's argmax."""

import numpy as np
import pytest

from generation.cpu_scores import highest


@pytest.mark.parametrize("size", [1, 7, 1025, 5000])
def test_the_highest_is_that_of_argmax(size):
    """Of scores of any sign, with and without equal ones."""
    rows = np.random.default_rng(size).standard_normal((8, size), np.float32)
    for row in (*rows, *rows.round(), *-np.abs(rows), np.zeros(size, np.float32)):
        assert highest(row) == row.argmax()


def test_the_first_of_two_zeros():
    assert highest(np.array([-0.0, 0.0, -1], np.float32)) == 0


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1024, 2999])
def test_a_score_that_is_not_finite(bad, place):
    scores = np.random.default_rng(0).standard_normal(3000, np.float32)
    scores[place] = bad
    assert highest(scores) == -1
