"""The benchmark of the training step runs: all sides, in one table."""

import re
import sys

import pytest

from benchmarks import train_step

pytest.importorskip("torch")


@pytest.mark.slow
def test_ours_and_a_peer(monkeypatch, capsys, tmp_path):
    options = ["--shapes", "tiny", "--peers", "eager", "--steps", "2"]
    options += ["--results", str(tmp_path / "rounds.jsonl"), "--rounds"]
    monkeypatch.setattr(sys, "argv", ["train_step", *options, "1"])
    train_step.main()
    said = capsys.readouterr().out
    assert "tiny parameters, 128 tokens a step, 1 rounds" in said
    assert re.search(r"MindSpore, the product +[\d,]+ tokens/s .* ours is 1\.00", said)
    assert re.search(r"ours: MFU \d+%, \d+% of the product bound", said)
    assert re.search(r"PyTorch \S+ eager +[\d,]+ tokens/s .* GiB", said)
    monkeypatch.setattr(sys, "argv", ["train_step", *options, "0"])
    train_step.main()
    assert capsys.readouterr().out == said, "the round was kept"
