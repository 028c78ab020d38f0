import random
import subprocess
import sys

import pytest
import sentencepiece

from common.errors import UserError
from tokenizer.extend import extend
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

POETRY = "春眠不觉晓处闻啼鸟夜来风雨声花落知多少"
LAW = "合同当事人应当履行义务违约责任赔偿损失诉讼"


def words(characters, seed):
    """Texts of invented words of 2 to 4 characters, so that pieces of several levels arise."""
    rng = random.Random(seed)
    lexicon = ["".join(rng.choices(characters, k=rng.randint(2, 4))) for _ in range(60)]
    return ["".join(rng.choices(lexicon, k=40)) for _ in range(200)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extend")
    train_sentencepiece(words(POETRY, 0), 380, folder / "base.model")
    train_sentencepiece(words(LAW, 1), 380, folder / "new.model")
    added = extend(folder / "base.model", folder / "new.model", folder / "out.model")
    return folder, added


@pytest.fixture(scope="module")
def tokenizers(models):
    folder, _ = models
    return [load_tokenizer("sentencepiece", folder / f"{n}.model") for n in ("base", "new", "out")]


def test_ids_of_the_base_stay_and_the_new_ones_follow(tokenizers, models):
    base, _, extended = tokenizers
    _, added = models
    assert extended.vocab_size == base.vocab_size + len(added)
    assert [extended.decode([i]) for i in range(base.vocab_size)] == [
        base.decode([i]) for i in range(base.vocab_size)
    ]
    new_ids = range(base.vocab_size, extended.vocab_size)
    assert [extended.decode([i]) for i in new_ids] == added
    assert (extended.eos_id, extended.unk_id) == (base.eos_id, base.unk_id)


def test_new_pieces_are_used(tokenizers, models):
    base, new, extended = tokenizers
    _, added = models
    used = sum(extended.encode(text) == [base.vocab_size + i] for i, text in enumerate(added))
    assert used / len(added) > 0.9
    law = "".join(words(LAW, 1))
    count = len(extended.encode(law))
    assert count <= 1.02 * len(new.encode(law)) < len(base.encode(law)) / 5
    assert extended.decode(extended.encode(law)) == law


def test_no_text_takes_more_tokens_than_before(tokenizers):
    base, _, extended = tokenizers
    mixed = words(POETRY + LAW, 2)
    for text in words(POETRY, 0) + words(LAW, 1) + mixed + ["abc 123\n", "", "𠀀"]:
        assert len(extended.encode(text)) <= len(base.encode(text))
    assert [base.encode(t) for t in words(POETRY, 0)] == [
        extended.encode(t) for t in words(POETRY, 0)
    ]


def test_chatglm_is_extended(chatglm_model, models, tmp_path):
    folder, _ = models
    added = extend(chatglm_model, folder / "new.model", tmp_path / "out.model")
    base, extended = (
        load_tokenizer("sentencepiece", path) for path in (chatglm_model, tmp_path / "out.model")
    )
    assert extended.vocab_size == 64789 + len(added)
    law = "".join(words(LAW, 1))
    assert len(extended.encode(law)) < 0.8 * len(base.encode(law))
    assert extended.decode(extended.encode(law)) == law
    assert extended.encode("床前明月光") == base.encode("床前明月光")


def unigram(texts, path):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(path.with_suffix("")),
        model_type="unigram",
        vocab_size=150,
        hard_vocab_limit=False,
        minloglevel=2,
    )


def test_unigram_is_extended(tmp_path):
    for name, characters in (("base", POETRY), ("new", LAW)):
        unigram(words(characters, 3), tmp_path / f"{name}.model")
    extend(tmp_path / "base.model", tmp_path / "new.model", tmp_path / "out.model")
    law = "".join(words(LAW, 3))
    base, new, out = (
        load_tokenizer("sentencepiece", tmp_path / f"{name}.model").encode(law)
        for name in ("base", "new", "out")
    )
    assert len(out) <= 1.05 * len(new)
    assert 0 in base and 0 not in out, "unknown characters become known"


def test_different_types_are_refused(tmp_path, models):
    folder, _ = models
    unigram(words(LAW, 3), tmp_path / "unigram.model")
    with pytest.raises(UserError, match=r"of type bpe and .* of type unigram; both must be bpe"):
        extend(folder / "base.model", tmp_path / "unigram.model", tmp_path / "out.model")
    assert not (tmp_path / "out.model").exists()


def test_nothing_to_add(models, tmp_path):
    folder, _ = models
    with pytest.raises(UserError, match="has all pieces of .*; there is nothing to add"):
        extend(folder / "out.model", folder / "new.model", tmp_path / "out.model")


def run(cwd, repo, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tokenizer.extend", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(repo)},
        capture_output=True,
        encoding="utf-8",
    )


def test_command(models, repo, tmp_path):
    folder, added = models
    arguments = ["base.model", "new.model", "--output", str(tmp_path / "out.model")]
    result = run(folder, repo, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith(
        f"{380 + len(added)} pieces, {len(added)} of them new (ids 380 to {379 + len(added)})"
    )
    assert (tmp_path / "out.model").read_bytes() == (folder / "out.model").read_bytes()
    result = run(folder, repo, "base.model", "nothing.model", "--output", "x.model")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: tokenizer file nothing.model does not exist")
