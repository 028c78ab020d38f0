"""The benchmarks of the data step run, on a little text: what they print is not looked at here."""

import sys

import pytest

from benchmarks import data, data_dedup, data_memory, data_tokenize

SOURCES = ("people_daily", "reviews", "docstrings")


@pytest.fixture
def little_text(monkeypatch):
    """500 documents of Chinese characters in the place of each real source."""
    texts = ["".join(chr(0x4E00 + (7 * n + k * k) % 300) for k in range(150)) for n in range(500)]
    for module in (data_dedup, data_memory, data_tokenize):
        for name in SOURCES:
            monkeypatch.setattr(module, name, lambda: iter(texts), raising=False)
    for module in (data_memory, data_tokenize):
        monkeypatch.setattr(module, "VOCAB_SIZE", 700)


def run(monkeypatch, capsys, *names):
    monkeypatch.setattr(sys, "argv", ["data", *names, "--rounds", "1"])
    data.main()
    return capsys.readouterr().out


def test_dedup(little_text, monkeypatch, capsys):
    monkeypatch.setattr(data_dedup.run_dedup, "__defaults__", (400, 50))
    printed = run(monkeypatch, capsys, "dedup")
    assert "400 real documents and 50 changed copies" in printed
    assert " 0 of " in printed and "ours is" in printed


def test_tokenize(little_text, monkeypatch, capsys):
    printed = run(monkeypatch, capsys, "tokenize")
    assert "1,500 documents" in printed and "ours, 2 processes to ours, 1 process" in printed


def test_memory(little_text, monkeypatch, capsys):
    monkeypatch.setattr(data_memory, "MODES", ("near",))
    monkeypatch.setattr(data_memory, "TIMES", 2)
    printed = run(monkeypatch, capsys, "memory")
    assert "dedup near  ratio of the peaks" in printed


def test_an_unknown_name_is_rejected(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "speed")
    assert "no benchmark speed" in capsys.readouterr().err
