"""The log line: how training stands."""

import contextlib
import logging
import time
from collections.abc import Iterator

from tqdm import tqdm

from training.hooks.base import StepCallback
from training.hooks.records import Records
from training.plan import Plan

log = logging.getLogger(__name__)


class Metrics(StepCallback):
    """A log line and a record every `interval` steps.

    MFU (model FLOPs utilisation, arXiv:2204.02311) is the operations a second that training a
    token takes by count (`ModelConfig.flops_per_token`: no recomputation, nothing of the
    optimizer), over the measured peak of one large matrix product (`measure_peak_flops`) on all
    ranks. That product is in the compute type, which on the CPU is float32.
    """

    def __init__(
        self,
        plan: Plan,
        start_step: int,
        records: Records,
        interval: int,
        peak_flops: float,
        elapsed: float = 0.0,
    ):
        """`peak_flops` of all ranks; `elapsed` seconds were spent before this start."""
        super().__init__(plan, start_step)
        self.records, self.interval, self.peak_flops = records, interval, peak_flops
        self.losses, self.timed_steps = [], 0
        self.mark = time.perf_counter()
        self.started = self.mark - elapsed
        self.progress = tqdm(total=plan.max_steps, initial=start_step, unit="step", disable=None)

    def on_step(self, step, outputs, run_context):
        """Keep the loss; every `interval` steps say how things stand."""
        self.losses.append(outputs[0])
        self.timed_steps += 1
        self.progress.update()
        if step == self.start_step + 1 and not self.is_due(step, self.interval):
            self._leave_out_compilation(outputs[0])
        if self.is_due(step, self.interval):
            self._report(step, float(outputs[1]), float(outputs[2]))

    def on_train_end(self, run_context):
        """Close the progress bar."""
        self.progress.close()

    def _leave_out_compilation(self, loss) -> None:
        float(loss)  # waits for the device
        now = time.perf_counter()
        log.info(f"first step, with compilation: {now - self.mark:.1f} s")
        self.mark, self.timed_steps = now, 0

    @property
    def elapsed(self) -> float:
        """Seconds of the run so far, earlier starts included."""
        return time.perf_counter() - self.started

    def _report(self, step: int, grad_norm: float, lr: float) -> None:
        loss = sum(float(value) for value in self.losses) / len(self.losses)
        now = time.perf_counter()
        speed = self.timed_steps * self.plan.tokens_per_step / (now - self.mark)
        mfu = speed * self.plan.model.flops_per_token() / self.peak_flops
        eta = (self.plan.max_steps - step) * self.plan.tokens_per_step / speed
        log.info(
            f"step {step:>6,}/{self.plan.max_steps:,} {step / self.plan.max_steps:4.0%}  "
            f"loss {loss:.4f}  lr {lr:.2e}  grad norm {grad_norm:.2f}  {speed:,.0f} tokens/s  "
            f"MFU {mfu:.0%}  elapsed {clock(self.elapsed)}  ETA {clock(eta)}"
        )
        self.records.add(
            step=step,
            tokens=step * self.plan.tokens_per_step,
            loss=loss,
            lr=lr,
            grad_norm=grad_norm,
            tokens_per_s=speed,
            mfu=mfu,
            elapsed_s=self.elapsed,
        )
        self.losses, self.timed_steps, self.mark = [], 0, now

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out of tokens/s."""
        begin = time.perf_counter()
        yield
        self.mark += time.perf_counter() - begin


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
