import numpy as np
import pytest

from corpus.shuffle import (
    copies,
    gather_bucket,
    hash64,
    sampled,
    shard_path,
    write_in_order,
    write_shuffled,
)

SEED = 11


def test_hashes_are_spread_and_fixed():
    hashes = hash64(SEED, np.arange(100_000), 1)
    assert len(set(hashes.tolist())) == 100_000
    counts = np.bincount((hashes >> np.uint64(60)).astype(int), minlength=16)
    assert counts.min() > 5900 and counts.max() < 6600
    assert (hashes != hash64(SEED + 1, np.arange(100_000), 1)).all()
    # The order of every corpus made so far hangs on these.
    assert hash64(SEED, np.arange(2), 1).tolist() == [
        2014684189141555199,
        14288063633228980057,
    ]


@pytest.mark.parametrize("weight", [0.25, 1.0, 2.0, 2.5])
def test_copies_are_as_near_to_the_weight_as_can_be(weight):
    counts = copies(np.arange(20_000), weight, SEED)
    assert set(counts.tolist()) <= {int(weight), int(np.ceil(weight))}
    assert abs(counts.mean() - weight) < 0.02


def test_sample():
    chosen = sampled(np.arange(20_000), 0.1, SEED)
    assert 1800 < chosen.sum() < 2200
    assert sampled(np.arange(5), 1.5, SEED).all()
    # A larger sample holds the smaller one.
    assert sampled(np.arange(20_000), 0.2, SEED)[chosen].all()


def write_shards(folder, sizes, weight=1.5):
    """Documents [n, n] of number n in shards of the given sizes."""
    first = 0
    for shard, size in enumerate(sizes):
        numbers = np.arange(first, first + size)
        ids, offsets = np.repeat(numbers, 2).astype("<u2"), np.arange(size + 1) * 2
        path = shard_path(folder, shard, "train")
        write_shuffled(path, ids, offsets, numbers, copies(numbers, weight, SEED), SEED)
        first += size


def gather(folder, n_shards, n_buckets):
    ids = b""
    for bucket in range(n_buckets):
        output = folder / "bucket"
        result = gather_bucket(folder, "train", n_shards, bucket, n_buckets, "<u2", output)
        content = output.read_bytes()
        assert result == {"documents": len(content) // 4, "tokens": len(content) // 2}
        ids += content
    return np.frombuffer(ids, "<u2").tolist()


def test_order_depends_neither_on_shards_nor_on_buckets(tmp_path):
    write_shards(tmp_path / "a", [300])
    write_shards(tmp_path / "b", [7, 0, 200, 93])
    whole = gather(tmp_path / "a", 1, 1)
    assert gather(tmp_path / "b", 4, 1) == gather(tmp_path / "b", 4, 13) == whole
    documents = whole[::2]
    assert whole[1::2] == documents
    expected = np.repeat(np.arange(300), copies(np.arange(300), 1.5, SEED)).tolist()
    assert sorted(documents) == expected != documents


def test_copies_of_a_document_are_spread(tmp_path):
    write_shards(tmp_path, [100], weight=3.0)
    documents = np.array(gather(tmp_path, 1, 1)[::2])
    places = [np.flatnonzero(documents == n) for n in range(100)]
    assert np.mean([np.diff(place).min() == 1 for place in places]) < 0.1


def test_what_is_held_out_keeps_its_order(tmp_path):
    for shard, (first, last) in enumerate([(0, 70), (70, 100)]):
        numbers = np.arange(first, last)
        ids, offsets = np.repeat(numbers, 2).astype("<u2"), np.arange(len(numbers) + 1) * 2
        path, chosen = shard_path(tmp_path, shard, "train"), (numbers % 3 == 0).astype(np.int64)
        write_in_order(path, ids, offsets, numbers, chosen, 100)
    assert gather(tmp_path, 2, 1)[::2] == gather(tmp_path, 2, 4)[::2] == list(range(0, 100, 3))
