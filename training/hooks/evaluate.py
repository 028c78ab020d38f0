"""Loss on held-out text while training goes on."""

import logging

from training.heldout import HeldOutMeasure
from training.hooks.base import StepCallback
from training.hooks.metrics import Metrics
from training.prepared import PreparedRun

log = logging.getLogger(__name__)


class Evaluate(StepCallback):
    """Held-out loss every `interval` steps and after the last one; all ranks take part."""

    def __init__(
        self, prepared: PreparedRun, held_out: HeldOutMeasure, metrics: Metrics | None = None
    ):
        """Without `metrics`, as on every rank but the first, the result is not written down."""
        super().__init__(prepared)
        self.metrics, self.held_out = metrics, held_out
        self.interval, self.rows = prepared.config.eval_interval, prepared.config.eval_rows
        self.losses: dict[int, float] = {}
        """held-out loss by step"""

    def on_step(self, step, outputs, run_context):
        """Measure and write down."""
        if not self.is_due(step, self.interval):
            return
        if self.metrics is None:
            self.held_out.evaluate(self.rows)
            return
        with self.metrics.paused():
            result = self.held_out.evaluate(self.rows)
        log.info(f"step {step:>6,}/{self.prepared.max_steps:,}  held-out {result.describe()}")
        self.losses[step] = result.loss
        measures = {f"val_{name}": value for name, value in result.measures.items()}
        self.metrics.records.add(
            step=step, val_loss=result.loss, bits_per_byte=result.bits_per_byte, **measures
        )
