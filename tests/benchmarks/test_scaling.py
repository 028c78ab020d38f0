"""The scaling benchmark: what it prints of given times, and one true round on a tiny network."""

import re
import sys

import pytest

from benchmarks import scaling


def said(monkeypatch, capsys, *options):
    monkeypatch.setattr(sys, "argv", ["scaling", *options])
    scaling.main()
    return capsys.readouterr().out


def test_speed_and_efficiency(monkeypatch, capsys):
    """Two steps of 2,048 tokens: 1 s alone, 1.25 s beside another, 1.6 s with it."""
    asked = []

    def run_round(sizes, options, cores):
        asked.append((sizes["batch"], sizes["micro_batches"], len(set(cores)), options))
        return {scaling.ONE: 1.0, scaling.APART: 1.25, scaling.TOGETHER: 1.6, scaling.THREADS: 2.0}

    monkeypatch.setattr(scaling, "run_round", run_round)
    monkeypatch.setattr(scaling.os, "sched_getaffinity", lambda _: {0, 1, 2})
    text = said(monkeypatch, capsys, "--micro_batches", "2", "--rounds", "2")
    assert asked == [(8, 2, 2, ["--kernels", "auto"])] * 2
    assert "7.4M, 4,096 tokens a step and worker, 2 rounds" in text
    assert re.search(r"one worker +4,096 tokens/s +efficiency 100%", text)
    assert re.search(r"two apart +6,554 tokens/s +efficiency +80%", text)
    assert re.search(r"two together +5,120 tokens/s +efficiency +62%", text)
    assert re.search(r"one, both cores +4,096 tokens/s +efficiency +50%", text)


def test_one_core_is_too_few(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scaling"])
    monkeypatch.setattr(scaling.os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(SystemExit, match="two cores are needed"):
        scaling.main()


@pytest.mark.slow
def test_a_round(monkeypatch, capsys):
    options = ["--shapes", "tiny", "--micro_batches", "1", "--rounds", "1", "--steps", "2"]
    text = said(monkeypatch, capsys, *options)
    assert len(re.findall(r"[\d,]+ tokens/s +efficiency", text)) == 4
