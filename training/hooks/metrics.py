"""The log line: how training stands."""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from training.hooks.base import StepCallback
from training.hooks.records import Records
from training.prepared import PreparedRun

log = logging.getLogger(__name__)


class Metrics(StepCallback):
    """A log line and a record every `interval` steps.

    MFU (model FLOPs utilisation, arXiv:2204.02311) is the operations a second that training a
    token takes by count (`training_flops`: no recomputation, nothing of the optimizer), over the
    measured peak of a large matrix product (`measure_peak_flops`) on all ranks. That product is in
    the compute type, by the kernels of the run.
    """

    def __init__(self, prepared: PreparedRun, records: Records, names: Sequence[str] = ()):
        """`names` are those of the objective's measures."""
        super().__init__(prepared)
        self.records, self.names, self.interval = records, names, prepared.config.log_interval
        self.outputs, self.timed_steps = [], 0
        self.mark = time.perf_counter()
        self.started = self.mark - prepared.elapsed
        self.progress = tqdm(
            total=prepared.max_steps, initial=self.start_step, unit="step", disable=None
        )

    def on_step(self, step, outputs, run_context):
        """Keep the loss; every `interval` steps say how things stand."""
        self.outputs.append(outputs)
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
        prepared = self.prepared
        loss, measures = self._means()
        measures |= prepared.feed.figures()
        now = time.perf_counter()
        speed = self.timed_steps * prepared.tokens_per_step / (now - self.mark)
        mfu = speed * prepared.flops_per_token / prepared.peak_flops
        eta = (prepared.max_steps - step) * prepared.tokens_per_step / speed
        log.info(
            f"step {step:>6,}/{prepared.max_steps:,} {step / prepared.max_steps:4.0%}  "
            f"loss {loss:.4f}  {figures(measures)}lr {lr:.2e}  grad norm {grad_norm:.2f}  "
            f"{speed:,.0f} tokens/s  "
            f"MFU {mfu:.0%}  elapsed {clock(self.elapsed)}  ETA {clock(eta)}"
        )
        self.records.add(
            step=step,
            tokens=step * prepared.tokens_per_step,
            loss=loss,
            lr=lr,
            grad_norm=grad_norm,
            tokens_per_s=speed,
            mfu=mfu,
            elapsed_s=self.elapsed,
            **measures,
        )
        self.outputs, self.timed_steps, self.mark = [], 0, now

    def _means(self) -> tuple[float, dict[str, float]]:
        """Loss and measures, each the mean over the steps since the last record."""
        steps = self.outputs
        loss = sum(float(outputs[0]) for outputs in steps) / len(steps)
        if not self.names:
            return loss, {}
        values = sum(outputs[4].asnumpy() for outputs in steps) / len(steps)
        return loss, dict(zip(self.names, map(float, values)))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out of tokens/s."""
        begin = time.perf_counter()
        yield
        self.mark += time.perf_counter() - begin


def figures(measures: Mapping[str, float]) -> str:
    """Measures as they stand in a log line: "accuracy 0.713  margin 0.201  "."""
    return "".join(f"{name.replace('_', ' ')} {value:.3f}  " for name, value in measures.items())


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
