"""Checkpoints in a thread, and failed ones."""

import threading

from common.errors import UserError
from tests.training.hooks.cases import Context, prepared_run
from training.hooks.save import Save
from training.signals import StopSignal


def saver(write) -> Save:
    """Saves every 10 steps; `write` gets the step."""
    return Save(
        prepared_run("--train.save_interval", "10"), lambda step: lambda: write(step), StopSignal()
    )


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


def test_a_signal_waits_for_a_step_that_can_be_resumed_from():
    written = []
    save = saver(written.append)
    save.stop.name = "SIGTERM"
    context = Context()
    save.on_step(7, (), context)
    assert not context.stopped
    save.on_step(8, (), context)
    save.on_train_end(context)
    assert context.stopped and written == [8]
