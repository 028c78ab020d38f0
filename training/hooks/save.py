"""Checkpoints while training goes on."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from common.errors import UserError
from training.hooks.base import StepCallback
from training.parallel import values_of_all
from training.prepared import PreparedRun
from training.signals import StopSignal

log = logging.getLogger(__name__)


class Save(StepCallback):
    """A checkpoint every `interval` steps, after the last one, and when a signal ends the run.

    It is written in a thread while training goes on, which waits only for the copy in memory.
    """

    def __init__(
        self,
        prepared: PreparedRun,
        snapshot: Callable[[int], Callable[[], None] | None],
        stop: StopSignal,
    ):
        """`snapshot` copies the state of a step and returns what writes the copy.

        On ranks other than the first it returns None.
        """
        super().__init__(prepared)
        self.snapshot, self.stop = snapshot, stop
        self.interval = prepared.config.save_interval
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.writing: tuple[int, Future] | None = None

    def on_step(self, step, outputs, run_context):
        """Save if due; a full disk is reported and training goes on."""
        stopping = self.stop.agreed(step) and self.prepared.feed.can_resume_from(step)
        if stopping:
            self.save_now(step)
            by = self.stop.name or "a signal to another rank"
            log.info(f"stopped by {by} after step {step:,}; run the same command again to continue")
            run_context.request_stop()
        elif self.is_due(step, self.interval):
            self.start_writing(step)

    def on_train_end(self, run_context):
        """Wait for the last checkpoint."""
        self.finish_writing()
        self.thread.shutdown()

    def save_now(self, step: int) -> None:
        """Save, and return when the checkpoint is written, on every rank.

        A launcher kills all ranks as soon as one ends with an error or by a signal.
        """
        self.start_writing(step)
        self.finish_writing()
        values_of_all(step, self.stop.world)

    def start_writing(self, step: int) -> None:
        """Copy the state and begin to write it."""
        self.finish_writing()  # one copy in memory at a time
        if write := self.snapshot(step):
            self.writing = step, self.thread.submit(write)

    def finish_writing(self) -> None:
        """Wait for the checkpoint that is being written, and say so if it failed."""
        if self.writing is None:
            return
        step, result = self.writing
        self.writing = None
        try:
            result.result()
        except (UserError, OSError) as error:
            log.error(f"checkpoint of step {step:,} not saved: {error}")
