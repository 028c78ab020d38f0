"""Copied spans against a search by brute force."""

import numpy as np
import pytest

from corpus.token_file import TokenFile, TokenFileWriter
from evaluation import memorised
from evaluation.memorised import SEED, Span, longest_shared_spans


def token_file(folder, ids, vocab_size=60_000) -> TokenFile:
    with TokenFileWriter(folder / "train.bin", vocab_size) as writer:
        writer.write(list(ids))
    path = folder / "train.bin"
    return TokenFile(path, {path: len(ids)}, writer.dtype, None)


def longest_by_force(text: list[int], ids: list[int]) -> int:
    """Length alone, with a table of common suffixes."""
    best, row = 0, [0] * (len(ids) + 1)
    for a in text:
        row = [0, *(row[j] + 1 if a == b else 0 for j, b in enumerate(ids))]
        best = max(best, *row)
    return best if best >= SEED else 0


@pytest.mark.parametrize("chunk", [7, 64, 1 << 20])
@pytest.mark.parametrize("symbols", [2, 5, 40])
def test_equals_a_search_by_force(tmp_path, monkeypatch, chunk, symbols):
    monkeypatch.setattr(memorised, "CHUNK", chunk)
    rng = np.random.default_rng(symbols)
    ids = rng.integers(0, symbols, 300).tolist()
    texts = [rng.integers(0, symbols, n).tolist() for n in (0, 1, 3, 4, 30, 60)]
    texts.append([59, *ids[100:131], 59])
    spans = longest_shared_spans(texts, token_file(tmp_path, ids))
    for text, span in zip(texts, spans, strict=True):
        assert len(span) == longest_by_force(text, ids)
        if span:
            assert text[span.begin : span.end] == ids[span.position : span.position + len(span)]


def test_a_copy_is_found_where_it_stands(tmp_path):
    ids = [9, 9, *range(100, 120), 9]
    (span,) = longest_shared_spans([[1, 2, *range(105, 115), 3]], token_file(tmp_path, ids))
    assert span == Span(2, 12, 7)


def test_a_whole_file_and_a_large_vocabulary(tmp_path):
    ids = [70_000, 69_999, 3, 70_000, 5]
    (span,) = longest_shared_spans([ids], token_file(tmp_path, ids, 80_000))
    assert span == Span(0, 5, 0)


def test_nothing_in_common(tmp_path):
    file = token_file(tmp_path, [1, 2, 3])
    assert longest_shared_spans([[4] * 10, [], [1, 2, 3]], file) == [Span()] * 3
    assert longest_shared_spans([], file) == []
