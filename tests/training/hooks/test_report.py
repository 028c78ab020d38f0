"""The report of the training while it goes on."""

import json
import logging
import types

import pytest
from PIL import Image

from recipe import load_recipe
from runs.run import METRICS, Run
from tests.training.hooks.cases import held_out_record, training_record
from training.hooks import report
from training.hooks.records import Records
from training.hooks.report import TrainingReport, plot_training, report_text


@pytest.fixture
def run(repo, tmp_path) -> Run:
    return Run(tmp_path, load_recipe(repo / "configs" / "debug.yaml"))


def test_the_text(run):
    records = [training_record(5, loss=6.0), held_out_record(5), training_record(10, loss=5.25)]
    text = report_text(run, ["device CPU (auto)", "model: small"], records)
    assert text.startswith("# debug: training\n\n- device CPU (auto)\n- model: small\n")
    assert "Step 10 of 20, 640 tokens, after 0:00:20: loss 5.2500, 1,000 tokens/s" in text
    assert "](training.png)" in text and "| 5 | 4.0000 | 54.60 | 2.5000 |" in text
    assert f"python eval_pretrain.py --run {run.path}" in text


def test_what_is_not_finite_is_said_and_leaves_a_gap(run, tmp_path):
    records = [training_record(5, loss=None), held_out_record(5, loss=None)]
    assert "| 5 | not known | nan | 2.5000 |" in report_text(run, [], records)
    plot_training(tmp_path / "gap.png", records)
    assert Image.open(tmp_path / "gap.png").size == (1440, 840)


def test_each_curve_shows_the_whole_run(run, tmp_path, monkeypatch):
    drawn = {}

    def keep(figure, path):
        for axes in figure.axes:
            drawn[axes.get_ylabel()] = [list(line.get_xdata()) for line in axes.lines]

    monkeypatch.setattr(report, "save_figure", keep)
    records = [training_record(5), held_out_record(5), training_record(10), training_record(15)]
    plot_training(tmp_path / "x.png", records)
    assert drawn["loss (nats per token)"] == [[5, 10, 15], [5]]
    for label in ("learning rate", "gradient norm before clipping", "tokens per second"):
        assert drawn[label] == [[5, 10, 15]]


def test_a_rewarded_run_shows_reward_and_kl(run, tmp_path, monkeypatch):
    drawn = {}

    def keep(figure, path):
        for axes in figure.axes:
            drawn[axes.get_ylabel()] = [list(line.get_ydata()) for line in axes.lines]

    monkeypatch.setattr(report, "save_figure", keep)
    records = [training_record(5) | {"reward": 0.5, "kl": 0.1}]
    records += [held_out_record(5) | {"val_reward": 0.75}]
    plot_training(tmp_path / "x.png", records)
    assert len(drawn) == 6 and drawn["reward"] == [[0.5], [0.75]]
    assert drawn["KL to the model before (nats per token)"] == [[0.1]]
    assert len(drawn["loss (nats per token)"]) == 1, "what is held out is no loss"
    text = report_text(run, [], records)
    assert "| step | held-out reward |" in text and text.endswith("| 5 | 0.7500 |\n")


def test_it_is_written_at_evaluations_and_at_the_end(run):
    hook = TrainingReport(run, ["banner"])
    with Records(run.path / METRICS, [hook]) as records:
        records.add(**training_record(5))
        assert hook.writing is None, "nothing is drawn between evaluations"
        records.add(**held_out_record(5))
        hook.writing.result(60)
        assert "| 5 | 4.0000 |" in (run.path / "training.md").read_text()
        records.add(**training_record(10))
    assert "Step 10 of 20" in (run.path / "training.md").read_text()
    assert (run.path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_a_disk_that_is_full_is_told_once_and_ends_nothing(run, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)

    def full(path, records):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "plot_training", full)
    hook = TrainingReport(run, [])
    with Records(run.path / METRICS, [hook]) as records:
        records.add(**held_out_record(5))
        hook.writing.result(60)
        records.add(**held_out_record(10))
    assert len(caplog.records) == 1
    assert "the training report is not up to date" in caplog.text
    assert len((run.path / METRICS).read_text().splitlines()) == 2


def test_a_report_that_is_still_being_written_is_not_waited_for(run):
    busy = types.SimpleNamespace(done=lambda: False)
    hook = TrainingReport(run, [])
    hook.writing = busy
    hook.write(held_out_record(5))
    assert hook.writing is busy
    (run.path / METRICS).write_text(json.dumps(held_out_record(5)) + "\n")
    hook.close()
    assert "| 5 |" in (run.path / "training.md").read_text(), "the end is waited for"
