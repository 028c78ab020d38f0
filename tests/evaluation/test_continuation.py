"""Text that appears while it is generated: complete, whole characters, nothing twice."""

import io

import numpy as np
import pytest

from common.errors import UserError
from evaluation.continuation import TextStream
from evaluation.terminal import converse
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

PROMPTS = ["", "床前明月光，", "the quick ", "中文 abc", "表情😀"]
TEXTS = [
    "低头思故乡。\n",
    " two  spaces,  then 中文",
    "😀👨‍👩‍👧🇨🇳，生僻字𠀀䶮",
    "\n\n第二段\t制表符",
    "e\u0301 ABC 123",
]


@pytest.fixture(scope="module", params=["sentencepiece", "chatglm3"])
def tokenizer(request, tmp_path_factory):
    if request.param == "chatglm3":
        return load_tokenizer("chatglm3", request.getfixturevalue("chatglm_model"))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_sentencepiece(["the quick brown fox, 床前明月光，疑是地上霜。" * 3] * 20, 300, path)
    return load_tokenizer("sentencepiece", path)


def streamed(tokenizer, before, ids) -> list[str]:
    stream = TextStream(tokenizer, before)
    return [*map(stream.push, ids), stream.rest()]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_what_the_ids_mean_after_the_prompt(tokenizer, prompt, text):
    before = tokenizer.encode(prompt)
    # The ids of text as they come in mid-text, not as a beginning with a space of its own.
    ids = tokenizer.encode(prompt + text)[len(before) :]
    pieces = streamed(tokenizer, before, ids)
    assert "".join(pieces) == tokenizer.decode([*before, *ids])[len(prompt) :]
    assert not any("\ufffd" in piece for piece in pieces)
    if tokenizer.encode(prompt + text)[: len(before)] == before:
        assert "".join(pieces) == text


def test_text_comes_as_early_as_it_is_whole(tokenizer):
    ids = tokenizer.encode("月😀月")
    assert [piece for piece in streamed(tokenizer, [], ids) if piece] == ["月", "😀", "月"]


def test_a_leading_space_of_a_continuation_is_kept(tokenizer):
    ids = tokenizer.encode("quick brown")
    before, new = ids[:-3], ids[-3:]
    assert (
        "".join(streamed(tokenizer, before, new)) == "quick brown"[len(tokenizer.decode(before)) :]
    )


def test_arbitrary_ids_lose_nothing(tokenizer):
    rng = np.random.default_rng(0)
    for _ in range(200):
        # Mostly bytes, so that most characters are broken.
        high = 270 if rng.random() < 0.8 else tokenizer.vocab_size + 10
        before, ids = (rng.integers(0, high, rng.integers(0, 12)).tolist() for _ in range(2))
        before = tokenizer.encode(tokenizer.decode(before))
        whole = tokenizer.decode([*before, *ids])
        assert "".join(streamed(tokenizer, before, ids)) == whole[len(tokenizer.decode(before)) :]


def test_a_character_that_stays_unfinished_is_shown_in_the_end(tokenizer):
    ids = tokenizer.encode("𠀀")
    assert len(ids) >= 4, "bytes"
    assert streamed(tokenizer, [], ids[:-1])[:-1] == [""] * (len(ids) - 1)
    assert set(streamed(tokenizer, [], ids[:-1])[-1]) == {"\ufffd"}


def test_a_continuation_is_new_text_only_and_repeatable(writer):
    shown = []
    first = writer.write("小明在学校", shown.append)
    assert first.text == "".join(shown)
    assert not first.text.startswith("小明在学校")
    assert 0 < first.tokens <= writer.sampling.max_new_tokens
    assert first.stopped_by in ("<eos>", "max_new_tokens", "context")
    writer.write("月亮", shown.append)
    assert writer.write("小明在学校", shown.append).text == first.text


def test_a_prompt_longer_than_the_context_is_one_sentence(writer):
    with pytest.raises(UserError, match=r"^the prompt has \d+ tokens, but the context of 64 .*$"):
        writer.write("学" * 100, print)


def test_a_dialogue_survives_a_bad_prompt_and_ends_at_an_empty_line(writer, monkeypatch, capsys):
    typed = io.StringIO(f"{'学' * 100}\n小明\n\n河边\n")
    monkeypatch.setattr("sys.stdin", typed)
    converse(writer)
    printed = capsys.readouterr().out
    assert "error: the prompt has" in printed
    assert "\n小明 ->\n" in printed and "stopped by" in printed
    assert typed.read() == "河边\n"


def test_a_dialogue_ends_with_the_input(writer, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    converse(writer)
    assert capsys.readouterr().out == "> \n"
