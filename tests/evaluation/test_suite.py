"""Measures of repetition by hand, and of copying on the run's own training file."""

import pytest

from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.suite import distinct, judge, longest_repeat
from generation.writer import Continuation


@pytest.mark.parametrize(
    ("text", "one", "two"),
    [("", 1, 1), ("天", 1, 1), ("天天 天", 1 / 3, 1 / 2), ("天地玄黄", 1, 1)],
)
def test_distinct(text, one, two):
    assert (distinct(text, 1), distinct(text, 2)) == pytest.approx((one, two))


@pytest.mark.parametrize(
    ("text", "span"),
    [("", ""), ("天", ""), ("天地玄黄", ""), ("天地玄天地黄", "天地"), ("哈哈哈哈", "哈哈哈")],
)
def test_longest_repeat(text, span):
    assert longest_repeat(text) == span


def test_a_text_from_the_training_file_is_a_copy(run):
    tokenizer = run.tokenizer()
    file = TokenFile.open(f"{run.recipe.data.dir}/{TRAIN_NAME}")
    ids = file.read(0, 40).tolist()
    ids = ids[: ids.index(tokenizer.eos_id)] if tokenizer.eos_id in ids else ids
    text = tokenizer.decode(ids)
    copied, own = judge(
        [
            Continuation("", text, len(ids), "<eos>", 1.0),
            Continuation(text[:3], "", 0, "<eos>", 1.0),
        ],
        tokenizer,
        file,
    )
    assert copied.copied == text and copied.copied_tokens == len(ids)
    assert (own.copied, own.copied_tokens, own.repeated) == ("", 0, "")
