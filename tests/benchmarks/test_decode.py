"""The decoding benchmark runs: both sides continue the same prompts with the same ids."""

import re
import sys

import pytest

from benchmarks import decode, decode_shapes

pytest.importorskip("torch")


@pytest.mark.slow
def test_both_sides_agree(monkeypatch, capsys):
    options = ["--shapes", "tiny", "--batches", "1", "2", "--new", "8", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["decode", *options])
    assert "tiny" in decode_shapes.SHAPES
    decode.main()
    said = capsys.readouterr().out
    assert said.count("the same ids") == 2 and "DIFFERENT" not in said
    for name in ("ours, float32", "ours, int8", "Hugging Face", "limit, float32", "limit, int8"):
        assert len(re.findall(rf"{name} +[\d,.]+ tokens/s", said)) == 2
