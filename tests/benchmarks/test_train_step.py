"""The benchmark of the training step runs: all sides, in one table."""

import re
import sys

import pytest

from benchmarks import train_step

pytest.importorskip("torch")


def test_ours_and_a_peer(monkeypatch, capsys):
    options = ["--shapes", "tiny", "--peers", "eager", "--rounds", "1", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["train_step", *options])
    train_step.main()
    said = capsys.readouterr().out
    assert "tiny parameters, 128 tokens a step, 1 rounds" in said
    assert re.search(r"MindSpore, the product +[\d,]+ tokens/s .* ours is 1\.00 .* MFU \d+%", said)
    assert re.search(r"PyTorch \S+ eager +[\d,]+ tokens/s .* GiB", said)
