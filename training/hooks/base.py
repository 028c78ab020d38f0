"""The two kinds of hooks: called after each optimizer step, or handed each record of metrics."""

from collections.abc import Mapping
from typing import Any

from mindspore import Callback

from training.prepared import PreparedRun

Record = Mapping[str, Any]
"""A line of metrics.jsonl; a number that was not finite is None."""


class StepCallback(Callback):
    """A callback that is called once an optimizer step instead of once a micro-batch."""

    def __init__(self, prepared: PreparedRun):
        super().__init__()
        self.prepared, self.start_step = prepared, prepared.start_step

    def on_train_step_end(self, run_context):
        """Pass on the last micro-batch of each optimizer step."""
        args = run_context.original_args()
        updates, rest = divmod(args.cur_step_num, self.prepared.micro_batches)
        if rest == 0:
            self.on_step(self.start_step + updates, args.net_outputs, run_context)

    def is_due(self, step: int, interval: int) -> bool:
        """Whether something that happens every `interval` steps and at the end is due."""
        return step % interval == 0 or step == self.prepared.max_steps


class RecordHook:
    """Is handed each record after it was written to metrics.jsonl; this one does nothing."""

    def write(self, record: Record) -> None:
        """Take one record; what it raises is logged, and the hook is called no more."""

    def close(self) -> None:
        """Finish; called when training ends, however it ends."""


def is_held_out(record: Record) -> bool:
    """Whether a record is of a measurement on held-out text, not of training."""
    return "val_loss" in record


def scalars(record: Record) -> dict[str, float]:
    """The numbers of a record under the names that loggers show, such as train/loss."""
    group = "held_out" if is_held_out(record) else "train"
    return {
        f"{group}/{name.removeprefix('val_')}": value
        for name, value in record.items()
        if name != "step" and value is not None
    }
