"""A bounded part of a stream of texts, chosen by hash, the same in whatever order they come."""

import hashlib
import heapq
from collections.abc import Iterable

# What one text contributes at most, so that a whole library in one document is not the sample.
MAX_TEXT_CHARS = 100_000


def sample_texts(texts: Iterable[str], n_bytes: int) -> list[str]:
    """The texts of the smallest hashes, as many as it takes to reach `n_bytes` of UTF-8.

    Their order is that of the hashes. The sample of several samples is the sample of all their
    texts, so parts of a corpus can be sampled apart. Memory stays near `n_bytes`: only the last
    text goes beyond, and of each text the first `MAX_TEXT_CHARS` characters are taken.
    """
    heap: list[tuple[int, str, int]] = []  # the largest hash on top
    total = 0
    for text in texts:
        text = text[:MAX_TEXT_CHARS]
        content = text.encode("utf-8")
        order = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        heapq.heappush(heap, (-order, text, len(content)))
        total += len(content)
        while total - heap[0][2] >= n_bytes:
            total -= heapq.heappop(heap)[2]
    return [text for _, text, _ in sorted(heap, reverse=True)]
