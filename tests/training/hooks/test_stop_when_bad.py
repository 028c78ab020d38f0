"""Runs that went bad."""

import pytest

from common.errors import UserError
from tests.training.hooks.cases import Context, prepared_run
from training.hooks.save import Save
from training.hooks.stop_when_bad import StopWhenBad
from training.signals import StopSignal


def test_a_run_of_bad_steps_is_saved_and_ends_with_a_sentence():
    written = []
    prepared = prepared_run("--train.max_bad_steps", "5")
    save = Save(prepared, lambda step: lambda: written.append(step), StopSignal())
    guard = StopWhenBad(prepared, save)
    guard.on_step(10, (0, 0, 0, 4), Context())
    guard.on_step(11, (0, 0, 0, 5), Context())
    assert not written
    with pytest.raises(UserError, match="not finite in 5 steps in a row up to step 15"):
        guard.on_step(15, (0, 0, 0, 5), Context())
    assert written == [15]
