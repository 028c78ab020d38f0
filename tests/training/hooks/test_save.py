"""Checkpoints in a thread, and failed ones."""

import contextlib
import dataclasses
import shutil
import threading
import types

from common.errors import UserError
from runs.run import Run
from tests.training.hooks.cases import Context, prepared_run
from training.hooks.make import snapshots
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


def test_a_run_that_was_deleted_is_made_again_with_its_checkpoint(tmp_path, caplog):
    prepared = prepared_run()
    tokenizer = types.SimpleNamespace(save=lambda folder: (folder / "tokenizer.model").touch())
    run = Run(tmp_path / "lost", prepared.run.recipe)
    prepared = dataclasses.replace(prepared, run=run, tokenizer=tokenizer)
    prepared.feed.reference = None
    optimizer = types.SimpleNamespace(all_weights=list, moments=dict)
    step_cell = types.SimpleNamespace(optimizer=optimizer, counters=list)
    metrics = types.SimpleNamespace(elapsed=1.0, paused=contextlib.nullcontext)
    evaluate = types.SimpleNamespace(losses={}, metrics=metrics)
    run.create(tokenizer)
    snapshot = snapshots(prepared, step_cell, evaluate, None)
    snapshot(10)()
    assert not caplog.text
    shutil.rmtree(run.path)
    snapshot(20)()
    assert "lost was deleted while it was trained; it is made again" in caplog.text
    (kept,) = Run.open(run.path).checkpoints.all()
    assert kept.step == 20 and (run.path / "tokenizer.model").is_file()
