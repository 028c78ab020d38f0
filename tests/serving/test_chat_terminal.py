"""The chat on a terminal: rounds, commands, and what does not fit."""

import json
import os
import signal

import pytest

from chat.messages import SYSTEM, USER, Message
from chat.template import ChatTemplate
from common.errors import UserError
from generation.decoding import Decoder
from serving.chat_terminal import Dialogue, converse_in_turns


@pytest.fixture
def template(writer):
    return ChatTemplate.for_tokenizer(writer.tokenizer, "question_answer")


@pytest.fixture
def dialogue(writer, template):
    before = writer.config
    found = Dialogue(writer, template)
    found.answer("/set temperature 1.5")
    found.answer("/set top_k 0")
    found.answer("/set max_new_tokens 5")
    yield found
    writer.config = before


def test_a_question_is_asked_by_the_template_with_all_that_was_said(dialogue, template, capsys):
    dialogue.answer("/system 你是小明")
    dialogue.answer("天")
    first = dialogue.rounds[0][1].content
    assert first and first in capsys.readouterr().out
    asked = []
    prompt_ids = template.prompt_ids
    template.prompt_ids = lambda messages: asked.append(messages) or prompt_ids(messages)
    dialogue.answer("地")
    said = [(message.role, message.content) for message in asked[0]]
    assert said == [
        ("system", "你是小明"), ("user", "天"), ("assistant", first), ("user", "地"),
    ]  # fmt: skip


def test_no_more_rounds_are_seen_than_the_recipe_says(dialogue, template):
    for question in ("天", "地", "人"):
        dialogue.answer(question)
    asked = []
    prompt_ids = template.prompt_ids
    template.prompt_ids = lambda messages: asked.append(messages) or prompt_ids(messages)
    for rounds in (0, 1):
        dialogue.answer(f"/set rounds {rounds}")
        dialogue.answer("日")
    assert [[m.content for m in messages if m.role == USER] for messages in asked] == [
        ["日"],
        ["日", "日"],
    ]
    assert len(dialogue.rounds) == 5, "none is forgotten"


def test_undo_and_clear(dialogue, capsys):
    dialogue.answer("天")
    (before,) = dialogue.rounds
    dialogue.answer("地")
    dialogue.answer("/undo")
    assert dialogue.rounds == [before] and "taken back: 地" in capsys.readouterr().out
    dialogue.answer("/system 好")
    dialogue.answer("/clear")
    assert dialogue.messages() == [Message(SYSTEM, "好")]
    with pytest.raises(UserError, match="there is no question yet"):
        dialogue.answer("/undo")


def test_a_saved_dialogue_is_a_line_of_messages(dialogue, tmp_path):
    dialogue.answer("天")
    path = tmp_path / "said.jsonl"
    dialogue.answer(f"/save {path}")
    (line,) = path.read_text(encoding="utf-8").splitlines()
    messages = json.loads(line)["messages"]
    assert messages == [message.to_json() for message in dialogue.messages()]
    with pytest.raises(UserError, match="cannot"):
        dialogue.answer(f"/save {tmp_path}")
    with pytest.raises(UserError, match="name a file"):
        dialogue.answer("/save")


def test_the_oldest_whole_rounds_are_dropped_and_that_is_told(dialogue, template, capsys):
    for _ in range(12):
        dialogue.answer("天地人和")
    printed = capsys.readouterr().out
    assert "the oldest round is forgotten" in printed
    context = dialogue.writer.decoder.max_seq_len
    ids = template.prompt_ids([*dialogue.messages(), Message(USER, "天")])
    assert 0 < len(dialogue.rounds) < 12 and len(ids) < context + 8
    with pytest.raises(UserError, match="the prompt has .* tokens, but the context"):
        dialogue.answer("学" * context)


def test_ctrl_c_stops_an_answer_only(dialogue, monkeypatch, capsys):
    feed = Decoder.feed

    def interrupted(self, tokens):
        os.kill(os.getpid(), signal.SIGINT)
        return feed(self, tokens)

    monkeypatch.setattr(Decoder, "feed", interrupted)
    assert dialogue.answer("天")
    assert "stopped by interruption" in capsys.readouterr().out


def test_mistakes_are_told_and_passed_over(writer, template, monkeypatch, capsys):
    lines = iter(["", "/help", "/more", "天\udcff", "/set top_p 7", "/quit", "天"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    converse_in_turns(writer, template)
    printed = capsys.readouterr().out
    assert "/save FILE" in printed
    assert "error: /more is unknown" in printed
    assert "is not UTF-8 text from character 2 on" in printed
    assert "error: eval.top_p is 7.0" in printed
    assert next(lines) == "天", "/quit ends it"
