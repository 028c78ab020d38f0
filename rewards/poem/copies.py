"""How much of an answer stands in the poems that a model was trained on."""

from collections.abc import Iterable

import numpy as np

FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no character is lost when hashes wrap at 2^64."""


class Copies:
    """Runs of characters that poems share with texts that are read, punctuation aside."""

    def __init__(self, texts: Iterable[str], length: int = 8):
        """Note every run of `length` characters within each text."""
        self.length = length
        hashes = [_hashes(text, length) for text in texts]
        self._known = np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]))

    def has(self, text: str) -> bool:
        """Whether a run of `length` characters of a text stands in one of the texts."""
        found = _hashes(text, self.length)
        if not len(self._known) or not len(found):
            return False
        places = np.searchsorted(self._known, found).clip(max=len(self._known) - 1)
        return bool((self._known[places] == found).any())


def _hashes(text: str, length: int) -> np.ndarray:
    """Of each run of `length` characters."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    n = max(0, len(codes) - length + 1)
    total = np.zeros(n, np.uint64)
    for offset in range(length):
        total = total * FACTOR + codes[offset : offset + n]
    return total
