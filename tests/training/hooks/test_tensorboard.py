"""Event files, read back as TensorBoard reads them."""

import types

import pytest
from tensorboardX.proto.event_pb2 import SessionLog

from tests.training.hooks.cases import curve, events, held_out_record, training_record
from training.hooks.tensorboard import TensorBoard


@pytest.fixture
def run(tmp_path):
    return types.SimpleNamespace(path=tmp_path)


def test_every_number_is_there(run):
    hook = TensorBoard(run, [])
    hook.write(training_record(10, loss=5.5))
    hook.write(held_out_record(10, loss=4.5))
    assert curve(run.path, "train/loss") == [(10, 5.5)], "already before the end"
    hook.write(training_record(20, loss=None))
    hook.close()
    assert curve(run.path, "train/loss") == [(10, 5.5)], "what was not finite is left out"
    assert curve(run.path, "held_out/loss") == [(10, 4.5)]
    assert [step for step, _ in curve(run.path, "train/tokens_per_s")] == [10, 20]
    first, start, *_ = events(run.path)
    assert first.file_version == "brain.Event:2"
    assert start.session_log.status == SessionLog.START and start.step == 0


def test_no_step_is_there_twice_after_a_resume(run):
    """Killed at step 30, gone on from the checkpoint of step 20."""
    hook = TensorBoard(run, [])
    for step in (10, 20, 30):
        hook.write(training_record(step))
    resumed = TensorBoard(run, [training_record(10), training_record(20)])
    resumed.write(training_record(30))
    resumed.close()
    assert [step for step, _ in curve(run.path, "train/loss")] == [10, 20, 30]
    times = [event.wall_time for event in events(run.path) if event.summary.value]
    assert times[1] - times[0] == pytest.approx(20), "as the run took, not as it was written again"


def test_a_run_that_asks_for_it_later_has_its_whole_past(run):
    TensorBoard(run, [training_record(10), held_out_record(10)]).close()
    assert [step for step, _ in curve(run.path, "train/lr")] == [10]
    assert [step for step, _ in curve(run.path, "held_out/bits_per_byte")] == [10]
