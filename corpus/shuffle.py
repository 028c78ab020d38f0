"""The order of the documents: a global shuffle that needs no corpus in memory.

Each copy of a document has a key, a hash of (seed, document number, copy), and the token file
holds the copies sorted by key. (Held-out documents stay in the order of their numbers, so that they
can be measured source by source.) The shards are sorted by themselves; then the range of all keys
is cut into equal buckets, and each bucket is gathered from all shards, sorted in memory and
written. So the order depends neither on the size of shards and buckets nor on who did the work.
"""

from pathlib import Path
from typing import Any

import numpy as np

from common.files import PathLike, atomic_open
from corpus.ragged import Ragged, write_ragged

KEY_RANGE = 1 << 64
ORDER, FRACTION, SAMPLE = 1, 2, 3  # what a hash decides: one number must not decide two things


def hash64(seed: int, numbers: np.ndarray, *salts: int | np.ndarray) -> np.ndarray:
    """Hashes (N,) uint64 of numbers (N,), evenly spread.

    The mixing function is SplitMix64's: Steele, Lea and Flood, "Fast splittable pseudorandom
    number generators", 2014.
    """
    state = np.asarray(numbers, np.uint64)
    for part in (seed, *salts):
        state = _mix(state ^ _mix(np.asarray(part, np.uint64)))
    return state


def _mix(state: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def copies(numbers: np.ndarray, weight: float, seed: int) -> np.ndarray:
    """How often (N,) each document is written: `weight` times on average, and as near as can be.

    With weight 2.5 each document stands twice, and every second one, chosen by hash, once more.
    """
    return int(weight) + _chosen(numbers, weight % 1, seed, FRACTION).astype(np.int64)


def sampled(numbers: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which documents (N,) bool belong to a sample of `share` of them; 1 or more: all."""
    return _chosen(numbers, share, seed, SAMPLE)


def write_shuffled(
    path: PathLike,
    ids: np.ndarray,
    offsets: np.ndarray,
    numbers: np.ndarray,
    counts: np.ndarray,
    seed: int,
) -> None:
    """Write documents sorted by key, `counts[i]` (N,) copies of that whose number is `numbers[i]`.

    Document i is `ids[offsets[i] : offsets[i + 1]]`.
    """
    index = np.repeat(np.arange(len(numbers)), counts)
    copy = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = hash64(seed, numbers[index], ORDER, copy)
    order = np.argsort(keys, kind="stable")
    _write(path, ids, offsets, index[order], keys[order])


def write_in_order(
    path: PathLike,
    ids: np.ndarray,
    offsets: np.ndarray,
    numbers: np.ndarray,
    counts: np.ndarray,
    n_documents: int,
) -> None:
    """As `write_shuffled`, but in the order of the numbers, which ascend up to `n_documents`."""
    index = np.repeat(np.arange(len(numbers)), counts)
    keys = numbers[index].astype(np.uint64) * np.uint64(KEY_RANGE // max(2, n_documents))
    _write(path, ids, offsets, index, keys)


def _write(
    path: PathLike, ids: np.ndarray, offsets: np.ndarray, index: np.ndarray, keys: np.ndarray
) -> None:
    begins, ends = offsets[index].tolist(), offsets[index + 1].tolist()
    write_ragged(path, [ids[begin:end] for begin, end in zip(begins, ends)], ids.dtype)
    with atomic_open(_keys_file(path)) as file:
        np.save(file, keys)


def gather_bucket(
    shards: Path, split: str, n_shards: int, bucket: int, n_buckets: int, dtype: str, output: Path
) -> dict[str, Any]:
    """Write the documents of all shards whose keys lie in one bucket, in the order of the keys."""
    keys, lengths, content = [], [], bytearray()
    for number in range(n_shards):
        path = shard_path(shards, number, split)
        shard, shard_keys = Ragged(path, dtype), np.load(_keys_file(path), mmap_mode="r")
        assert len(shard) == len(shard_keys), f"{path}: keys and documents differ in number"
        begin, end = (_first_of(shard_keys, at, n_buckets) for at in (bucket, bucket + 1))
        offsets = np.array(shard.offsets[begin : end + 1])
        content += shard.items[offsets[0] : offsets[-1]].tobytes()
        lengths.append(np.diff(offsets))
        keys.append(np.array(shard_keys[begin:end]))
    order = np.argsort(np.concatenate(keys), kind="stable")
    ids, all_lengths = np.frombuffer(content, dtype), np.concatenate(lengths)
    ends = np.cumsum(all_lengths)
    begins = ends - all_lengths
    with atomic_open(output) as file:
        for first, last in zip(begins[order].tolist(), ends[order].tolist()):
            file.write(ids[first:last])
    return {"documents": len(order), "tokens": len(ids)}


def shard_path(folder: Path, number: int, split: str) -> Path:
    """Where shard `number` of a split stands."""
    return folder / f"{number:06d}-{split}"


def _chosen(numbers: np.ndarray, share: float, seed: int, decision: int) -> np.ndarray:
    if share >= 1:
        return np.ones(len(numbers), bool)
    return hash64(seed, numbers, decision) < np.uint64(int(share * KEY_RANGE))


def _first_of(keys: np.ndarray, bucket: int, n_buckets: int) -> int:
    """Position of the first key of a bucket in sorted keys."""
    least = -(-bucket * KEY_RANGE // n_buckets)
    return len(keys) if least == KEY_RANGE else int(np.searchsorted(keys, np.uint64(least)))


def _keys_file(path: PathLike) -> Path:
    return Path(f"{path}.keys.npy")
