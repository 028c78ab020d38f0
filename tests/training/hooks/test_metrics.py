"""Log lines."""

import json
import logging

from tests.training.hooks.cases import PLAN, Context
from training.hooks.metrics import Metrics, clock
from training.hooks.records import Records


def test_micro_batches_make_one_step_and_one_line(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    records = Records(tmp_path / "metrics.jsonl")
    metrics = Metrics(PLAN, 0, records, interval=2, peak_flops=1e9, elapsed=100.0)
    for passes in range(1, 9):
        metrics.on_train_step_end(Context(passes, (passes, 0.5, 1e-3, 0)))
    lines = [json.loads(line) for line in records.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[0]["loss"] == 3.0, "mean of the losses of both steps, which end passes 2 and 4"
    assert lines[1]["tokens"] == 4 * 64 and lines[1]["elapsed_s"] > 100
    assert lines[0]["mfu"] == lines[0]["tokens_per_s"] * PLAN.model.flops_per_token() / 1e9
    assert "step      4/40  10%  loss 7.0000  lr 1.00e-03  grad norm 0.50" in caplog.text


def test_clock():
    assert clock(3661.9) == "1:01:01"
