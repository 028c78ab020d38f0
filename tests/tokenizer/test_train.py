import random
import re

import pytest

from common.errors import UserError
from tokenizer.round_trip import odd_lines
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import least_pieces, train_sentencepiece

CHARACTERS = "春眠不觉晓处闻啼鸟夜来风雨声花落知多少"


def poems(count):
    rng = random.Random(0)
    for _ in range(count):
        yield "\n".join("".join(rng.choices(CHARACTERS, k=20)) for _ in range(4))


def test_training_is_deterministic_also_when_it_samples(tmp_path):
    texts = list(poems(400))
    for name, order in (("a", texts), ("b", texts[::-1])):
        train_sentencepiece(order, 400, tmp_path / name, sample_bytes=20_000)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    train_sentencepiece(texts, 400, tmp_path / "all")
    assert (tmp_path / "all").read_bytes() != (tmp_path / "a").read_bytes()


def test_ids_and_size(tmp_path):
    train_sentencepiece(poems(300), 400, tmp_path / "m")
    tokenizer = load_tokenizer("sentencepiece", tmp_path / "m")
    assert (tokenizer.vocab_size, tokenizer.unk_id, tokenizer.eos_id) == (400, 0, 2)
    assert len(tokenizer.encode("\n")) == 1
    assert len(tokenizer.encode("春")) == 1, "no dummy space in front"


def test_long_lines_are_not_left_out(tmp_path):
    train_sentencepiece(["".join(poems(300)).replace("\n", "")], 400, tmp_path / "m")
    assert len(load_tokenizer("sentencepiece", tmp_path / "m").encode("春眠不觉晓")) <= 5


@pytest.mark.parametrize("texts", [[], ["春眠"], ["", "\n"]])
def test_too_little_text_for_the_vocabulary(tmp_path, texts):
    with pytest.raises(UserError, match="too small for a vocabulary of 8000 pieces"):
        train_sentencepiece(texts, 8000, tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reserved", [(), ("<|user|>", "<|end|>")])
def test_the_sentence_names_the_smallest_and_the_largest_size(tmp_path, reserved):
    texts = [*poems(300), "".join(map(chr, range(0x4E00, 0x5200)))]
    least = least_pieces(texts, 10**9) + len(reserved)
    for size in (300, least - 1):
        with pytest.raises(UserError, match=f"different .* {size} pieces; raise .* to {least} at"):
            train_sentencepiece(texts, size, tmp_path / "m", reserved=reserved)
    train_sentencepiece(texts, least, tmp_path / "m", reserved=reserved)
    assert load_tokenizer("sentencepiece", tmp_path / "m").vocab_size == least
    with pytest.raises(UserError, match="lower tokenizer.vocab_size to [0-9]+ at most") as raised:
        train_sentencepiece(texts, 90_000, tmp_path / "m", reserved=reserved)
    most = int(re.search(r"to (\d+) at most", str(raised.value))[1])
    train_sentencepiece(texts, most, tmp_path / "m", reserved=reserved)


def test_training_is_silent(tmp_path, capfd):
    train_sentencepiece(poems(300), 400, tmp_path / "m")
    assert capfd.readouterr() == ("", "")


def test_a_space_is_a_piece_also_where_the_corpus_has_none(tmp_path):
    texts = list(poems(300))
    train_sentencepiece(texts, 400, tmp_path / "m")
    tokenizer = load_tokenizer("sentencepiece", tmp_path / "m")
    assert tokenizer.decode(tokenizer.encode("你好 世界")) == "你好 世界"
    assert len(tokenizer.encode(" ")) == 1
    spaced = [*texts, "春 眠 不 觉 晓 " * 2000]
    train_sentencepiece(spaced, 400, tmp_path / "spaced")
    assert load_tokenizer("sentencepiece", tmp_path / "spaced").encode(" ") != [0]


def test_what_a_vocabulary_gives_back_is_checked(tmp_path, monkeypatch):
    train_sentencepiece(poems(300), 400, tmp_path / "m")
    tokenizer = load_tokenizer("sentencepiece", tmp_path / "m")
    lines = list(odd_lines())
    assert len(lines) == 1000
    for kind in (" ", "5", "\n", "，", "１", "\t", "\u3000"):
        assert sum(kind in line for line in lines) > 5, repr(kind)
    assert [tokenizer.decode(tokenizer.encode(line)) for line in lines] == lines
    monkeypatch.setattr("tokenizer.train.with_space", lambda model: model)
    with pytest.raises(UserError, match="turns .* into .*▁"):
        train_sentencepiece(poems(300), 400, tmp_path / "without")
    assert not (tmp_path / "without").exists()
