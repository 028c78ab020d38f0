"""Log lines, failed saves and runs that went bad."""

import json
import logging
import threading
import types

import pytest

from common.errors import UserError
from model.config import ModelConfig
from training.callbacks import Metrics, Save, StopWhenBad, clock
from training.plan import Plan
from training.signals import StopSignal

PLAN = Plan(
    model=ModelConfig(dim=16, n_layers=1, n_heads=2, max_seq_len=16, vocab_size=64),
    max_steps=40,
    tokens_per_step=64,
    micro_batch=2,
    micro_batches=2,
    rows_per_step=4,
    train_tokens=1000,
    val_tokens=100,
    data="ids",
)


class Context:
    """What MindSpore hands to a callback."""

    def __init__(self, passes=0, outputs=(1.0, 2.0, 3.0, 0)):
        self.args = types.SimpleNamespace(cur_step_num=passes, net_outputs=outputs)
        self.stopped = False

    def original_args(self):
        return self.args

    def request_stop(self):
        self.stopped = True


@pytest.fixture
def metrics(tmp_path) -> Metrics:
    return Metrics(PLAN, 0, types.SimpleNamespace(path=tmp_path), 2, 1e9, elapsed=100.0)


def test_micro_batches_make_one_step_and_one_line(metrics, caplog):
    caplog.set_level(logging.INFO)
    for passes in range(1, 9):
        metrics.on_train_step_end(Context(passes, (passes, 0.5, 1e-3, 0)))
    lines = [json.loads(line) for line in metrics.path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[0]["loss"] == 3.0, "mean of the losses of both steps, which end passes 2 and 4"
    assert lines[1]["tokens"] == 4 * 64 and lines[1]["elapsed_s"] > 100
    assert "step      4/40  10%  loss 7.0000  lr 1.00e-03  grad norm 0.50" in caplog.text


def test_what_is_not_finite_is_null_in_json(metrics):
    metrics.record(step=1, loss=float("nan"), lr=1.0)
    assert json.loads(metrics.path.read_text()) == {"step": 1, "loss": None, "lr": 1.0}


def saver(write) -> Save:
    """Saves every 10 steps; `write` gets the step."""
    return Save(PLAN, 0, lambda step: lambda: write(step), 10, StopSignal())


def test_a_checkpoint_is_written_while_training_goes_on():
    may_write, written = threading.Event(), []

    def write(step):
        assert may_write.wait(10)
        written.append(step)

    save = saver(write)
    save.on_step(10, (), Context())
    save.on_step(11, (), Context())
    assert not written
    may_write.set()
    save.on_step(20, (), Context())
    save.on_train_end(Context())
    assert written == [10, 20]


def test_a_save_that_fails_is_reported_and_training_goes_on(caplog):
    def full(step):
        raise UserError("No space left on device")

    save, context = saver(full), Context()
    save.on_step(10, (), context)
    save.on_step(20, (), context)
    assert "checkpoint of step 10 not saved: No space left on device" in caplog.text
    save.on_train_end(context)
    assert "checkpoint of step 20 not saved" in caplog.text
    assert not context.stopped


def test_a_run_of_bad_steps_is_saved_and_ends_with_a_sentence():
    written = []
    guard = StopWhenBad(PLAN, 0, 5, saver(written.append))
    guard.on_step(10, (0, 0, 0, 4), Context())
    guard.on_step(11, (0, 0, 0, 5), Context())
    assert not written
    with pytest.raises(UserError, match="not finite in 5 steps in a row up to step 15"):
        guard.on_step(15, (0, 0, 0, 5), Context())
    assert written == [15]


def test_a_loss_far_above_the_usual_is_told_once(metrics, caplog):
    losses = [3.0 + 0.01 * (i % 5) for i in range(18)] + [4.5, 3.0]
    for step, loss in enumerate([2.0, 9.0, *losses, 3.2, float("nan"), 6.0, 3.0], 1):
        metrics._warn_of_spike(step, loss)
    assert [record.getMessage()[:20] for record in caplog.records] == ["step 25: loss 6.0000"]


def test_clock():
    assert clock(3661.9) == "1:01:01"
