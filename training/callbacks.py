"""What happens beside the training step: log lines, held-out loss, checkpoints, stopping."""

import contextlib
import json
import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from mindspore import Callback
from tqdm import tqdm

from common.errors import UserError
from training.heldout import HeldOut
from training.plan import Plan
from training.run import METRICS, Run
from training.signals import StopSignal

log = logging.getLogger(__name__)

SPIKE_WINDOW = 20
"""Log lines whose losses tell what is usual."""
SPIKE_DEVIATIONS, SPIKE_RATIO = 6.0, 1.1
"""A loss is a spike so many standard deviations, and so many times, above the usual."""


class StepCallback(Callback):
    """A callback that is called once an optimizer step instead of once a micro-batch."""

    def __init__(self, plan: Plan, start_step: int):
        super().__init__()
        self.plan, self.start_step = plan, start_step

    def on_train_step_end(self, run_context):
        """Pass on the last micro-batch of each optimizer step."""
        args = run_context.original_args()
        updates, rest = divmod(args.cur_step_num, self.plan.micro_batches)
        if rest == 0:
            self.on_step(self.start_step + updates, args.net_outputs, run_context)

    def is_due(self, step: int, interval: int) -> bool:
        """Whether something that happens every `interval` steps and at the end is due."""
        return step % interval == 0 or step == self.plan.max_steps


class Metrics(StepCallback):
    """A log line and a record of metrics.jsonl every `interval` steps."""

    def __init__(
        self,
        plan: Plan,
        start_step: int,
        run: Run,
        interval: int,
        peak_flops: float,
        elapsed: float = 0.0,
    ):
        """`peak_flops` of all ranks; `elapsed` seconds were spent before this start."""
        super().__init__(plan, start_step)
        self.path, self.interval, self.peak_flops = run.path / METRICS, interval, peak_flops
        self.losses, self.timed_steps = [], 0
        self.usual = deque(maxlen=SPIKE_WINDOW)
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
        tokens = step * self.plan.tokens_per_step
        self.record(
            step=step,
            tokens=tokens,
            loss=loss,
            lr=lr,
            grad_norm=grad_norm,
            tokens_per_s=speed,
            mfu=mfu,
            elapsed_s=self.elapsed,
        )
        self._warn_of_spike(step, loss)
        self.losses, self.timed_steps, self.mark = [], 0, now

    def _warn_of_spike(self, step: int, loss: float) -> None:
        if len(self.usual) == SPIKE_WINDOW:
            mean, deviation = statistics.mean(self.usual), statistics.pstdev(self.usual)
            if loss > max(mean + SPIKE_DEVIATIONS * deviation, SPIKE_RATIO * mean):
                log.warning(
                    f"step {step:,}: loss {loss:.4f} is far above the usual {mean:.4f}; if it does "
                    "not come down, go back to an earlier checkpoint with a lower learning rate"
                )
        if math.isfinite(loss):
            self.usual.append(loss)

    def record(self, **values) -> None:
        """Append one line to metrics.jsonl; what is not finite becomes null, as JSON wants."""
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(finite) + "\n")
        except OSError as error:  # a full disk must not end the run
            log.error(f"{self.path}: {error.strerror}; step {values['step']:,} is not recorded")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out of tokens/s."""
        begin = time.perf_counter()
        yield
        self.mark += time.perf_counter() - begin


class Evaluate(StepCallback):
    """Held-out loss every `interval` steps and after the last one; all ranks take part."""

    def __init__(
        self,
        plan: Plan,
        start_step: int,
        held_out: HeldOut,
        interval: int,
        rows: int,
        metrics: Metrics | None = None,
    ):
        """Without `metrics`, as on every rank but the first, the result is not written down."""
        super().__init__(plan, start_step)
        self.metrics, self.held_out, self.interval, self.rows = metrics, held_out, interval, rows
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
        log.info(
            f"step {step:>6,}/{self.plan.max_steps:,}  held-out loss {result.loss:.4f}  "
            f"perplexity {result.perplexity:.2f}  bits/byte {result.bits_per_byte:.3f}"
        )
        self.losses[step] = result.loss
        self.metrics.record(step=step, val_loss=result.loss, bits_per_byte=result.bits_per_byte)


class Save(StepCallback):
    """A checkpoint every `interval` steps, after the last one, and when a signal ends the run.

    It is written in a thread while training goes on, which waits only for the copy in memory.
    """

    def __init__(
        self,
        plan: Plan,
        start_step: int,
        snapshot: Callable[[int], Callable[[], None] | None],
        interval: int,
        stop: StopSignal,
    ):
        """`snapshot` copies the state of a step and returns what writes the copy.

        On ranks other than the first it returns None.
        """
        super().__init__(plan, start_step)
        self.snapshot, self.interval, self.stop = snapshot, interval, stop
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.writing: tuple[int, Future] | None = None

    def on_step(self, step, outputs, run_context):
        """Save if due; a full disk is reported and training goes on."""
        stopping = self.stop.agreed(step)
        if stopping or self.is_due(step, self.interval):
            self.start_writing(step)
        if stopping:
            self.finish_writing()
            by = self.stop.name or "a signal to another rank"
            log.info(f"stopped by {by} after step {step:,}; run again to go on")
            run_context.request_stop()

    def on_train_end(self, run_context):
        """Wait for the last checkpoint."""
        self.finish_writing()
        self.thread.shutdown()

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
        except UserError as error:
            log.error(f"checkpoint of step {step:,} not saved: {error}")


class StopWhenBad(StepCallback):
    """Save and end the run when too many steps in a row had a gradient that is not finite."""

    def __init__(self, plan: Plan, start_step: int, limit: int, save: Save):
        super().__init__(plan, start_step)
        self.limit, self.save = limit, save

    def on_step(self, step, outputs, run_context):
        """Count what `TrainStep` counted; reading it only now and then keeps devices busy.

        Raises:
            UserError: the limit is reached; the weights are those before the first bad step.
        """
        if self.is_due(step, self.limit) and int(outputs[3]) >= self.limit:
            self.save.start_writing(step)
            self.save.finish_writing()
            raise UserError(
                f"the gradient was not finite in {int(outputs[3])} steps in a row up to step "
                f"{step}; the weights from before them are saved: run again with a lower "
                "train.learning_rate, or in float32"
            )


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
