"""Losses of token files and of raw text: every id once, by document and by source."""

import math
import shutil

import numpy as np
import pytest

from common.errors import UserError
from corpus.manifest import SourceCounts
from corpus.token_file import VAL_NAME, TokenFile
from evaluation.perplexity import (
    Pieces,
    by_document,
    by_source,
    describe,
    format_bits,
    measure,
    measure_text,
)
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece
from training.feeds.tokens import FileRows
from training.heldout import HeldOut
from training.objectives.cross_entropy import NextToken


@pytest.fixture(scope="module")
def held_out(run) -> TokenFile:
    return TokenFile.open(f"{run.recipe.data.dir}/{VAL_NAME}")


def test_untrained_weights_are_about_as_good_as_a_blind_guess(run, scorer, held_out):
    whole, sources = measure(scorer, run.tokenizer(), run.recipe.data.dir, scorer.context)
    assert whole.tokens == held_out.n_tokens and whole.pieces == held_out.manifest.documents
    assert whole.loss == pytest.approx(math.log(run.recipe.model.padded_vocab_size), abs=0.1)
    assert whole.bits_per_byte == pytest.approx(
        whole.nats / math.log(2) / held_out.manifest.text_bytes
    )
    assert 0 < whole.error < 0.1
    assert f"{whole.bits_per_byte:.3f} ± {whole.bits_error:.3f} over" in describe(whole)
    (source,) = sources
    assert (source.nats, source.tokens) == (whole.nats, whole.tokens), "the only source"
    assert source.name == held_out.manifest.sources[0].name


def test_agrees_with_the_measure_of_training(run, scorer, held_out):
    rows = FileRows(held_out, run.recipe.model.max_seq_len, run.tokenizer().eos_id)
    theirs = HeldOut(NextToken(run.load_model()), rows, batch=2).evaluate()
    whole, _ = measure(scorer, run.tokenizer(), run.recipe.data.dir, scorer.context)
    assert whole.loss == pytest.approx(theirs.loss, abs=1e-2), "up to the first id and the last row"


@pytest.mark.parametrize("stride", [64, 17])
def test_documents_add_up_whatever_the_stride(scorer, held_out, stride):
    pieces = by_document(scorer, held_out, stride)
    ids = held_out.read(0, held_out.n_tokens)
    ends = np.flatnonzero(ids == scorer.eos_id) + 1
    np.testing.assert_array_equal(pieces.tokens, np.diff([0, *ends]))
    log_probs = np.concatenate(list(scorer.text(len(ids), held_out.read, stride)))
    expected = [-part.sum(dtype=np.float64) for part in np.split(log_probs, ends)[:-1]]
    np.testing.assert_allclose(pieces.nats, expected, rtol=1e-6)


def test_sources_are_told_apart_where_they_stand_in_order():
    pieces = Pieces(np.array([1.0, 2.0, 6.0]), np.array([1, 1, 4]))
    a, b, c = SourceCounts("a", 2, 9, 9, 2), SourceCounts("b"), SourceCounts("c", 1, 9, 9, 4)
    found = list(by_source(pieces, [a, b, c]))
    assert [(loss.name, loss.nats, loss.tokens) for loss in found] == [("a", 3, 2), ("c", 6, 4)]
    assert list(by_source(pieces, [c, b, a])) == [], "another order has other lengths"


def test_the_standard_error_is_that_of_a_ratio():
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 200, 4000)
    nats = tokens * (3 + rng.normal(0, 1, 4000))
    loss = Pieces(nats, tokens).loss("x", 0.0)
    means = []
    for _ in range(400):
        drawn = rng.integers(0, 4000, 4000)
        means.append(nats[drawn].sum() / tokens[drawn].sum())
    assert loss.error == pytest.approx(np.std(means), rel=0.1)
    assert math.isnan(Pieces(nats[:1], tokens[:1]).loss("x", 0.0).error)


def test_raw_text_is_one_document(run, scorer, tmp_path):
    text = "小明在学校读书。" * 40
    (tmp_path / "a.txt").write_text("\ufeff" + text, encoding="utf-8")
    tokenizer = run.tokenizer()
    loss = measure_text(scorer, tokenizer, "essay", tmp_path / "a.txt", 32)
    assert loss.tokens == len(tokenizer.encode(text)) + 1, "and its <eos>"
    assert loss.text_bytes == len(text.encode())
    assert loss.pieces == -(-loss.tokens // scorer.context)
    assert describe(loss).startswith("essay: loss 6.")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b" \n", "holds no text"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_text_that_cannot_be_read(run, scorer, tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=says):
        measure_text(scorer, run.tokenizer(), "a", tmp_path / "a.txt", 32)


def test_missing_file_says_how_to_make_it(run, scorer, tmp_path):
    with pytest.raises(UserError, match=f"{VAL_NAME} does not exist; run python data_process.py"):
        measure(scorer, run.tokenizer(), str(tmp_path), 64)


def test_data_of_another_tokenizer_is_refused(run, scorer, tmp_path):
    train_sentencepiece(["今天天气很好，我们去公园。" * 5] * 20, 280, tmp_path / "tokenizer.model")
    other = load_tokenizer("sentencepiece", tmp_path)
    with pytest.raises(UserError, match="was made with another tokenizer"):
        measure(scorer, other, run.recipe.data.dir, 64)


def test_without_a_manifest_bits_per_byte_are_unknown(run, scorer, tmp_path):
    shutil.copy(f"{run.recipe.data.dir}/{VAL_NAME}", tmp_path)
    whole, sources = measure(scorer, run.tokenizer(), str(tmp_path), 64)
    assert math.isnan(whole.bits_per_byte) and sources == []
    assert format_bits(whole) == "unknown"
