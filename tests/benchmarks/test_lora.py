"""The benchmark of adapters runs: all weights and LoRA, in one table."""

import re
import sys

import pytest

from benchmarks import lora


@pytest.mark.slow
def test_all_weights_and_an_adapter(monkeypatch, capsys):
    options = ["--shape", "tiny", "--rank", "4", "--rounds", "1", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["lora", *options])
    lora.main()
    said = capsys.readouterr().out
    assert "tiny parameters, 64 tokens a step, 1 rounds" in said
    assert re.search(r"all weights +35,936 .* 1\.00", said)
    assert re.search(r"LoRA, rank 4 +2,560 .* ms .* GiB", said)
