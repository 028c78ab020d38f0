import numpy as np
import pytest

from corpus.dedup.buckets import Buckets


def pairs_of(folder, keys, limit, **options):
    """Pairs of documents 0, 1, ... with the given keys, added in two steps."""
    buckets = Buckets(folder, len(keys), limit, **options)
    keys = np.array([[0, key] for key in keys], np.uint64).reshape(-1, 2)
    numbers = np.arange(len(keys))
    for half in np.array_split(numbers, 2):
        buckets.add(keys[half], half)
    return sorted(
        (later, earlier) for pair in buckets.pairs() for earlier, later in zip(*map(list, pair))
    )


def test_documents_of_equal_keys_are_paired(tmp_path):
    assert pairs_of(tmp_path / "b", [7, 8, 7, 9, 8, 7], limit=9) == [(2, 0), (4, 1), (5, 0), (5, 2)]


def test_both_halves_of_a_key_count(tmp_path):
    buckets = Buckets(tmp_path / "b", 3, 9)
    buckets.add(np.array([[1, 2], [2, 1], [1, 2]], np.uint64), np.arange(3))
    assert [(list(a), list(b)) for a, b in buckets.pairs()] == [([0], [2])]


def test_a_bucket_is_compared_with_its_first_documents_only(tmp_path):
    pairs = pairs_of(tmp_path / "b", [5] * 1000, limit=3)
    assert len(pairs) == 1 + 2 + 3 * 997
    assert {earlier for _, earlier in pairs} == {0, 1, 2}


@pytest.mark.parametrize("part_records", [1, 7, 50])
def test_parts_and_steps_on_disk_change_nothing(tmp_path, part_records):
    keys = np.random.default_rng(0).zipf(1.5, 400) % 50
    expected = pairs_of(tmp_path / "whole", keys, limit=4)
    assert pairs_of(tmp_path / "parts", keys, 4, part_records=part_records) == expected


def test_a_huge_bucket_is_read_in_steps(tmp_path):
    """All records fall to one part, many times what may be in memory at once."""
    expected = pairs_of(tmp_path / "whole", [5] * 300, limit=2)
    assert pairs_of(tmp_path / "steps", [5] * 300, 2, part_records=8) == expected


def test_no_documents(tmp_path):
    assert pairs_of(tmp_path / "b", [], limit=3) == []
