"""What two documents are compared by: their text without spacing, cut into pieces."""

import unicodedata

PIECE_CHARS = 5


def normalised(text: str) -> str:
    """`text` with compatibility forms folded (NFKC), in one case and without white space.

    So full-width and half-width letters and marks are equal. Punctuation stays: 1.5 is not 15.
    """
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def pieces(text: str) -> set[str]:
    """All runs of `PIECE_CHARS` characters in a normalised text; none if it is shorter.

    Characters, not words: one edited character of a Chinese text changes five pieces, but with
    words and a segmenter it changes a window of five words.
    """
    return {text[i : i + PIECE_CHARS] for i in range(len(text) - PIECE_CHARS + 1)}


def jaccard(one: set[str], other: set[str]) -> float:
    """Share of pieces that both have among those that either has; 0 if there are none."""
    common = len(one & other)
    return common / ((len(one) + len(other) - common) or 1)
