"""A warning when the loss jumps."""

import logging
import statistics
from collections import deque
from collections.abc import Iterable

from training.hooks.base import Record, RecordHook

log = logging.getLogger(__name__)

WINDOW = 20
"""Log lines whose losses show what is usual."""
DEVIATIONS, RATIO = 6.0, 1.1
"""A loss is a spike so many standard deviations, and so many times, above the usual."""


class SpikeWarning(RecordHook):
    """Tells of a loss far above those of the last `WINDOW` log lines."""

    def __init__(self, past: Iterable[Record] = ()):
        """`past` records, of before this start, already show what is usual."""
        losses = (record.get("loss") for record in past)
        self.usual = deque((loss for loss in losses if loss is not None), maxlen=WINDOW)

    def write(self, record):
        """Compare a training loss with the usual ones, then count it among them."""
        loss = record.get("loss")
        if loss is None:
            return
        if len(self.usual) == WINDOW:
            mean, deviation = statistics.mean(self.usual), statistics.pstdev(self.usual)
            if loss > max(mean + DEVIATIONS * deviation, RATIO * mean):
                log.warning(
                    f"step {record['step']:,}: loss {loss:.4f} is far above the usual {mean:.4f}; "
                    "if it does not come down, go back to an earlier checkpoint with a lower "
                    "learning rate"
                )
        self.usual.append(loss)
