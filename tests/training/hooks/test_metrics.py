"""Log lines."""

import json
import logging

import numpy as np
from mindspore import Tensor

from tests.training.hooks.cases import Context, prepared_run
from training.hooks.metrics import Metrics, clock
from training.hooks.records import Records


def test_micro_batches_make_one_step_and_one_line(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    records = Records(tmp_path / "metrics.jsonl")
    prepared = prepared_run("--train.log_interval", "2", elapsed=100.0)
    metrics = Metrics(prepared, records)
    for passes in range(1, 9):
        metrics.on_train_step_end(Context(passes, (passes, 0.5, 1e-3, 0)))
    lines = [json.loads(line) for line in records.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[0]["loss"] == 3.0, "mean of the losses of both steps, which end passes 2 and 4"
    assert lines[1]["tokens"] == 4 * 64 and lines[1]["elapsed_s"] > 100
    assert lines[0]["mfu"] == lines[0]["tokens_per_s"] * prepared.model.flops_per_token() / 1e9
    assert "step      4/40  10%  loss 7.0000  lr 1.00e-03  grad norm 0.50" in caplog.text


def test_measures_stand_in_the_line_and_the_record(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    records = Records(tmp_path / "metrics.jsonl")
    metrics = Metrics(prepared_run("--train.log_interval", "2"), records, ("accuracy", "margin"))
    for passes, value in ((2, 0.25), (4, 0.75)):
        measured = Tensor(np.array([value, 2 * value], np.float32))
        metrics.on_train_step_end(Context(passes, (1.0, 0.5, 1e-3, 0, measured)))
    (line,) = map(json.loads, records.path.read_text().splitlines())
    assert (line["accuracy"], line["margin"]) == (0.5, 1.0)
    assert "loss 1.0000  accuracy 0.500  margin 1.000  lr 1.00e-03" in caplog.text


def test_clock():
    assert clock(3661.9) == "1:01:01"
