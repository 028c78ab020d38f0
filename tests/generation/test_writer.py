"""Text that appears while it is generated: complete, whole characters, nothing twice."""

import dataclasses

import numpy as np
import pytest

from common.errors import UserError
from generation.play import play
from generation.text_stream import TextStream
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


@pytest.mark.parametrize("length", [100, 100_000])
def test_a_prompt_longer_than_the_context_is_one_sentence(writer, length):
    with pytest.raises(UserError, match=r"^the prompt has \d+ tokens, but the context of 64 .*$"):
        writer.write("学" * length, print)


def test_an_empty_prompt_begins_a_document(writer):
    assert writer.write("", lambda text: None).tokens > 0


@pytest.fixture
def settings(writer):
    """Change the shared writer's settings for one test."""
    before = writer.config

    def change(**values):
        writer.config = dataclasses.replace(before, **values)

    yield change
    writer.config = before


PLAYED = ["小明在学校", "", "月亮", "中文 abc", "小明"]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_are_the_same_together_and_alone(writer, settings, temperature):
    settings(temperature=temperature, batch=4)
    together = writer.write_all(PLAYED)
    alone = [writer.write(prompt, lambda text: None) for prompt in PLAYED]
    assert [c.text for c in together] == [c.text for c in alone]
    assert [(c.tokens, c.stopped_by) for c in together] == [(c.tokens, c.stopped_by) for c in alone]


def test_samples_differ_and_the_first_is_the_one_that_is_written_alone(writer, settings):
    settings(temperature=1.0, top_k=0)
    samples = [c.text for c in writer.samples("小明", 3)]
    assert len(set(samples)) == 3
    assert samples == [c.text for c in writer.samples("小明", 3)]
    assert samples[0] == writer.write("小明", lambda text: None).text


def test_a_stop_text_ends_the_text_and_is_not_shown(writer, settings):
    whole = writer.write("小明在学校", lambda text: None)
    stop = whole.text[3:5]
    settings(stop=["不会有的", stop])
    shown = []
    cut = writer.write("小明在学校", shown.append)
    assert cut.text == "".join(shown) == whole.text[: whole.text.index(stop)]
    assert cut.stopped_by == repr(stop)
    assert cut.tokens < whole.tokens


def test_a_text_can_be_interrupted(writer):
    shown = []
    result = writer.write("小明", shown.append, stopped=lambda: len(shown) == 2)
    assert result.stopped_by == "interruption"
    assert result.tokens < writer.config.max_new_tokens
    assert result.text == "".join(shown)


def test_log_probabilities_are_told_on_request(writer, settings):
    assert writer.write("小明", lambda text: None).log_probs == ()
    settings(log_probs=True)
    result = writer.write("小明", lambda text: None)
    assert len(result.log_probs) == result.tokens
    assert all(log_prob < 0 for log_prob in result.log_probs)


def test_attempts_are_printed_one_by_one(writer, settings, capsys):
    settings(attempts=2, log_probs=True)
    first = play(writer, "小明")
    printed = capsys.readouterr().out
    assert printed.startswith(f"\n小明 ->\n{first.text}\n(attempt 1 of 2, ")
    assert printed.count("log-probabilities: -") == 2
