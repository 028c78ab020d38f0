"""Records as TensorBoard shows them."""

import time
from collections.abc import Sequence

from common.files import disk_errors
from runs.run import Run
from training.hooks.base import Record, RecordHook, scalars
from training.hooks.registry import logger

FOLDER = "tensorboard"


@logger("tensorboard", package="tensorboardX")
class TensorBoard(RecordHook):
    """Writes event files to tensorboard/ in the run directory: `tensorboard --logdir out`.

    A run that goes on begins a new file with all of its past, and the older files go away, so no
    step is there twice. Times are those of the run, without the pauses between its starts.
    """

    def __init__(self, run: Run, past: Sequence[Record]):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder, self.new_event = run.path / FOLDER, Event
        done = max((record.get("elapsed_s") or 0.0 for record in past), default=0.0)
        self.began, self.elapsed = time.time() - done, 0.0
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            old = set(folder.iterdir())
            # Not SummaryWriter: the queue of its thread blocks for ever once the disk is full.
            self.events = EventsWriter(str(folder / "events"), f".{time.monotonic_ns()}")
            # Tells a TensorBoard that is running to forget what it has read so far.
            start = SessionLog(status=SessionLog.START)
            self.events.write_event(Event(wall_time=self.began, step=0, session_log=start))
            for record in past:
                self._add(record)
            self.events.flush()
            for path in old:
                path.unlink()

    def write(self, record):
        """Append one record."""
        self._add(record)
        self.events.flush()

    def close(self):
        """Close the file."""
        self.events.close()

    def _add(self, record: Record) -> None:
        self.elapsed = record.get("elapsed_s") or self.elapsed
        event = self.new_event(wall_time=self.began + self.elapsed, step=record["step"])
        for tag, value in scalars(record).items():
            event.summary.value.add(tag=tag, simple_value=value)
        self.events.write_event(event)
