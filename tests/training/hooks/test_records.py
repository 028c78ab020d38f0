"""metrics.jsonl and who reads along."""

import json
import logging

import pytest

from tests.training.hooks.cases import held_out_record, training_record
from training.hooks.base import RecordHook, scalars
from training.hooks.records import Records


class Listener(RecordHook):
    def __init__(self, fails_at=None):
        self.fails_at, self.seen, self.closed = fails_at, [], False

    def write(self, record):
        if record["step"] == self.fails_at:
            raise ConnectionError("no route")
        self.seen.append(record["step"])

    def close(self):
        self.closed = True


def test_what_is_not_finite_is_null_in_json(tmp_path):
    records = Records(tmp_path / "metrics.jsonl")
    records.add(step=1, loss=float("nan"), lr=1.0)
    assert json.loads(records.path.read_text()) == {"step": 1, "loss": None, "lr": 1.0}


def test_a_hook_that_fails_is_told_once_and_the_others_go_on(tmp_path, caplog):
    good, bad = Listener(), Listener(fails_at=2)
    with Records(tmp_path / "metrics.jsonl", [bad, good]) as records:
        for step in (1, 2, 3):
            records.add(step=step, loss=1.0)
    assert (bad.seen, good.seen) == ([1], [1, 2, 3])
    assert good.closed and not bad.closed
    assert [r.getMessage() for r in caplog.records] == [
        "Listener failed, training goes on without it: no route"
    ]


def test_hooks_are_closed_however_training_ends(tmp_path):
    hook = Listener()
    with pytest.raises(KeyboardInterrupt), Records(tmp_path / "metrics.jsonl", [hook]):
        raise KeyboardInterrupt
    assert hook.closed


def test_a_full_disk_ends_nothing(caplog):
    caplog.set_level(logging.ERROR)
    hook = Listener()
    records = Records("/dev/full", [hook])
    records.add(step=1200, loss=1.0)
    assert "No space left on device; step 1,200 waits until there is room" in caplog.text
    assert hook.seen == [1200], "the others are called all the same"


def test_the_names_that_loggers_show():
    assert scalars(held_out_record(3)) == {"held_out/loss": 4.0, "held_out/bits_per_byte": 2.5}
    shown = scalars(training_record(3, loss=None))
    assert shown["train/lr"] == 1e-3 and "train/loss" not in shown and "train/step" not in shown
