"""Losses that jump."""

from tests.training.hooks.cases import held_out_record
from training.hooks.spike import SpikeWarning

CALM = [3.0 + 0.01 * (i % 5) for i in range(18)]


def warnings_in(caplog) -> list[str]:
    return [record.getMessage()[:20] for record in caplog.records]


def feed(hook, losses):
    for step, loss in enumerate(losses, 1):
        hook.write({"step": step, "loss": loss})


def test_a_loss_far_above_the_usual_is_told_once(caplog):
    feed(SpikeWarning(), [2.0, 9.0, *CALM, 4.5, 3.0, 3.2, None, 6.0, 3.0])
    assert warnings_in(caplog) == ["step 25: loss 6.0000"]


def test_what_was_usual_before_a_resume_still_is(caplog):
    past = [{"step": i, "loss": loss} for i, loss in enumerate([*CALM, None, 3.0, 3.0])]
    hook = SpikeWarning([*past, held_out_record(20)])
    hook.write(held_out_record(21, loss=9.0))
    feed(hook, [6.0])
    assert warnings_in(caplog) == ["step 1: loss 6.0000 "]
