import random

import numpy as np
import pytest

from common.errors import UserError
from corpus.dedup.pairs import SortedPairs


def sorted_by(tmp_path, pairs, run_pairs):
    store = SortedPairs(tmp_path / f"runs-{run_pairs}", run_pairs)
    for begin in range(0, len(pairs), 3):
        earlier, later = np.array(pairs[begin : begin + 3], np.uint32).T
        store.add(earlier, later)
    return [pair for chunk in store.chunks() for pair in zip(*(side.tolist() for side in chunk))]


@pytest.mark.parametrize("run_pairs", [1, 5, 64, 10_000])
def test_runs_on_disk_give_the_sorted_set(tmp_path, run_pairs):
    rng = random.Random(run_pairs)
    pairs = [tuple(sorted(rng.sample(range(40), 2))) for _ in range(500)]
    expected = sorted(set(pairs), key=lambda pair: (pair[1], pair[0]))
    assert sorted_by(tmp_path, pairs, run_pairs) == expected


def test_the_greatest_numbers(tmp_path):
    top = 2**32 - 1
    assert sorted_by(tmp_path, [(0, top), (top - 1, top)], 10) == [(0, top), (top - 1, top)]


def test_nothing(tmp_path):
    assert sorted_by(tmp_path, [], 10) == []


def test_a_full_disk_is_one_sentence(tmp_path, full_disk):
    store, numbers = SortedPairs(tmp_path / "runs", 10), np.arange(10_000, dtype=np.uint32)
    with full_disk(1000), pytest.raises(UserError, match="runs/0: No space left .*; make room"):
        store.add(numbers, numbers + 1)
