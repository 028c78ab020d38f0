"""Bytes that are no text, outputs that cannot show it, readers that go away: all on real streams.

Each test talks to `run_main` as the terminal of an entry would.
"""

import io
import os
import signal
import sys

import pytest

from chat.template import ChatTemplate
from common.errors import run_main
from generation.play import play
from serving.chat_terminal import converse_in_turns
from serving.terminal import converse

TYPED = b"\xff\xfe\n\xb4\xba\xcc\xec\n\xe6\x98\xa5\n"
"""No text at all, 春天 in GB18030, and 春 in UTF-8."""


@pytest.fixture(autouse=True)
def signals_stay():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def status_of(main) -> int:
    with pytest.raises(SystemExit) as end:
        run_main(lambda: main() or 0)
    return end.value.code


@pytest.mark.parametrize("chat", [False, True])
def test_a_dialogue_goes_on_after_bytes_that_are_not_utf8(writer, monkeypatch, capsys, chat):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TYPED), encoding="utf-8"))
    template = ChatTemplate.for_tokenizer(writer.tokenizer, "question_answer")
    talk = (lambda: converse_in_turns(writer, template)) if chat else (lambda: converse(writer))
    assert status_of(talk) == 0
    printed = capsys.readouterr().out
    for shown in (r"\udcff\udcfe", r"\udcb4\udcba\udccc\udcec"):
        said = f"error: the prompt '{shown}' is not UTF-8 text from character 1 on; give it in"
        assert said in printed
    assert printed.count("error: ") == 2 and "stopped by" in printed, "the third is answered"


def test_a_prompt_that_is_not_utf8(writer, capsys):
    assert status_of(lambda: play(writer, os.fsdecode(b"\xb4\xba"))) == 1
    said = r"error: the prompt '\udcb4\udcba' is not UTF-8 text from character 1 on; give it in"
    assert capsys.readouterr().err.startswith(said)


def test_an_output_in_ascii_shows_codes(writer, monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert status_of(lambda: play(writer, "小明") and None) == 0
    assert shown.getvalue().startswith(b"\n\\u5c0f\\u660e ->\n")
    assert b"stopped by max_new_tokens" in shown.getvalue()


def test_a_reader_that_goes_away_ends_the_entry(writer, monkeypatch, capsys):
    reader, output = os.pipe()
    monkeypatch.setattr(sys, "stdout", os.fdopen(output, "w", encoding="utf-8"))
    os.close(reader)
    assert status_of(lambda: play(writer, "小明") and None) == 128 + signal.SIGPIPE
    assert capsys.readouterr().err == ""
