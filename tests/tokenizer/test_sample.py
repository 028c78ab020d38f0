import random

import pytest

from tokenizer.sample import MAX_TEXT_CHARS, sample_texts

TEXTS = [f"第{n}篇：{'春眠不觉晓' * (n % 7)}" for n in range(1000)]
SIZE = sum(len(text.encode()) for text in TEXTS)


def size(texts):
    return sum(len(text.encode()) for text in texts)


def test_all_of_a_small_corpus():
    assert sorted(sample_texts(TEXTS, SIZE)) == sorted(TEXTS)
    assert sample_texts([], 10) == []


@pytest.mark.parametrize("budget", [1, 1000, SIZE // 3])
def test_order_does_not_matter_and_only_the_last_text_goes_beyond(budget):
    sample = sample_texts(TEXTS, budget)
    for seed in range(5):
        assert sample_texts(random.Random(seed).sample(TEXTS, len(TEXTS)), budget) == sample
    assert size(sample[:-1]) < budget <= size(sample)


def test_sample_of_samples_is_the_sample_of_all():
    parts = [sample_texts(TEXTS[i::3], 5000) for i in range(3)]
    assert sample_texts(sum(parts, []), 5000) == sample_texts(TEXTS, 5000)


def test_sample_is_spread_over_the_corpus():
    chosen = {TEXTS.index(text) * 4 // len(TEXTS) for text in sample_texts(TEXTS, SIZE // 10)}
    assert chosen == {0, 1, 2, 3}


def test_a_huge_text_gives_its_beginning():
    assert sample_texts(["春" * 10_000_000], 10) == ["春" * MAX_TEXT_CHARS]
