"""The tokenizer files of an export: transformers gives every text the ids that we give it."""

import random

import pytest
import sentencepiece

from common.errors import UserError
from interop.hf.tokenizer import write_tokenizer
from tests.interop.cases import corpus_texts
from tokenizer.tokenizer import load_tokenizer

transformers = pytest.importorskip("transformers")

SPECIAL = ["<s>", "</s>", "<unk>", "<0x0A>", "<s", "\u2581", "\u2581\u2581"]
EMOJI = ["🐼", "😀", "👨\u200d👩\u200d👧", "🇨🇳", "✨"]
RANGES = [(32, 0x2FF), (0x4E00, 0x9FFF), (0x1F300, 0x1F9FF), (0x3000, 0x30FF), (9, 13)]


def part(rng: random.Random) -> str:
    """A word, a run of one character, a number, or what could be taken for a special piece."""
    return rng.choice(
        [
            lambda: rng.choice(["床前明月光", "Hello, world", "don't stop ", "小明在学校读书。"]),
            lambda: rng.choice(SPECIAL),
            lambda: " " * rng.randint(1, 30),
            lambda: rng.choice(["\n", "\t", "\r\n"]) * rng.randint(1, 5),
            lambda: str(rng.randint(0, 10**12)),
            lambda: rng.choice(EMOJI) * rng.randint(1, 3),
            lambda: rng.choice("=-.哈a0") * rng.randint(1, 40),
            lambda: chr(rng.randint(*rng.choice(RANGES))),
        ]
    )()


def varied_lines() -> list[str]:
    """The test corpus, and 3,000 lines of every kind of text in every order."""
    rng = random.Random(0)
    mixed = ["".join(part(rng) for _ in range(rng.randint(1, 12))) for _ in range(3000)]
    return [*corpus_texts(), *mixed, "", " ", "\n", "a", "<s>"]


def piece_salad(tokenizer, lines: int = 1000) -> list[str]:
    """Pieces of the vocabulary side by side, which could be joined in many ways."""
    rng = random.Random(1)
    pieces = [tokenizer.decode([i, i])[: rng.randint(1, 9)] for i in range(259, 2000)]
    return ["".join(rng.choices(pieces, k=rng.randint(1, 30))) for _ in range(lines)]


def assert_equal_ids(tokenizer, folder):
    write_tokenizer(tokenizer, folder, 1 << 20)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    lines = [*varied_lines(), *piece_salad(tokenizer)]
    assert len(lines) > 3000
    found = theirs(lines).input_ids
    for line, ids in zip(lines, found):
        assert ids == tokenizer.encode(line), line
        assert theirs.decode(ids) == tokenizer.decode(ids), line
    assert (theirs.eos_token_id, theirs.pad_token_id) == (tokenizer.eos_id, tokenizer.unk_id)
    assert theirs.decode([tokenizer.eos_id], skip_special_tokens=True) == ""


def test_a_vocabulary_trained_here(tokenizer, tmp_path):
    assert_equal_ids(tokenizer, tmp_path)
    copied = (tmp_path / "tokenizer.model").read_bytes()
    assert copied == tokenizer.model_file.read_bytes()


def test_the_vocabulary_of_chatglm(chatglm_model, tmp_path):
    assert_equal_ids(load_tokenizer("chatglm2", chatglm_model), tmp_path)


def train(path, **options):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus_texts()), model_prefix=str(path.with_suffix("")),
        vocab_size=500, hard_vocab_limit=False, minloglevel=2, **options,
    )  # fmt: skip
    return load_tokenizer("sentencepiece", path)


def test_a_unigram_vocabulary(tmp_path):
    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    tokenizer = train(tmp_path / "u.model", model_type="unigram", byte_fallback=True, **plain)
    assert_equal_ids(tokenizer, tmp_path)


def test_a_vocabulary_that_changes_the_text(tmp_path):
    tokenizer = train(tmp_path / "n.model", model_type="bpe", byte_fallback=True)
    write_tokenizer(tokenizer, tmp_path, 256)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for line in ("  ＡＢＣ  １２ ", "a\t\tb", *corpus_texts()):
        assert theirs(line).input_ids == tokenizer.encode(line)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model_type": "char"}, "only BPE and unigram vocabularies can be exported"),
        ({"model_type": "unigram"}, "cannot be exported: transformers would give .* other ids"),
    ],
)
def test_a_vocabulary_without_an_equal(options, says, tmp_path):
    tokenizer = train(tmp_path / "x.model", **options)
    with pytest.raises(UserError, match=says):
        write_tokenizer(tokenizer, tmp_path, 256)
