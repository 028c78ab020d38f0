"""A report of the training while it goes on: figures so far, and four curves."""

import logging
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from common.figures import new_figure, save_figure
from common.files import PathLike, atomic_open
from runs.run import Run
from training.hooks.base import Record, RecordHook, is_held_out
from training.hooks.metrics import clock

log = logging.getLogger(__name__)

# evaluation has report.md and loss.png
REPORT, FIGURE = "training.md", "training.png"
PANELS = (
    ("loss", "loss (nats per token)", "linear"),
    ("lr", "learning rate", "linear"),
    ("grad_norm", "gradient norm before clipping", "log"),
    ("tokens_per_s", "tokens per second", "linear"),
)
# Of a run that is rewarded; what is held out there is a reward, and no loss.
REWARD_PANELS = (
    ("reward", "reward", "linear"),
    ("kl", "KL to the model before (nats per token)", "linear"),
)


class TrainingReport(RecordHook):
    """Writes training.md and training.png after each held-out evaluation and at the end.

    They are made in a thread from metrics.jsonl, so the curves of a run that was resumed are
    whole. What goes wrong there is reported once and ends nothing.
    """

    def __init__(self, run: Run, banner: Sequence[str]):
        """`banner` says what is trained."""
        self.run, self.banner = run, banner
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.writing: Future | None = None
        self.failed = False

    def write(self, record):
        """Begin a new report, unless the one before is still being written."""
        if is_held_out(record) and (self.writing is None or self.writing.done()):
            self.writing = self.thread.submit(self.update)

    def close(self):
        """Write the last report."""
        self.thread.submit(self.update)
        self.thread.shutdown()

    def update(self) -> None:
        """Write both files from the records so far."""
        try:
            records = self.run.metrics()
            plot_training(self.run.path / FIGURE, records)
            with atomic_open(self.run.path / REPORT, "w") as file:
                file.write(report_text(self.run, self.banner, records))
        except Exception as error:
            if not self.failed:
                log.warning(f"the training report is not up to date, training goes on: {error}")
            self.failed = True


def plot_training(path: PathLike, records: Sequence[Record]) -> None:
    """Write a PNG of loss, learning rate, gradient norm and speed against steps.

    Of a run that is rewarded also reward and KL.

    Raises:
        UserError: the disk is full.
    """
    training = [record for record in records if not is_held_out(record)]
    held_out = [record for record in records if is_held_out(record)]
    steps = [record["step"] for record in training]
    rewarded = any("reward" in record for record in training)
    panels = PANELS + REWARD_PANELS if rewarded else PANELS
    measured = "reward" if rewarded else "loss"
    figure = new_figure(6 * len(panels) // 2, 7)
    for axes, (field, label, scale) in zip(figure.subplots(2, len(panels) // 2).flat, panels):
        # A value that was not finite leaves a gap.
        values = [math.nan if record[field] is None else record[field] for record in training]
        axes.plot(steps, values, label="training", linewidth=1)
        # Where every gradient is 0, as without a reward, a logarithm has nothing to show.
        positive = any(value > 0 for value in values)
        axes.set(xlabel="step", ylabel=label, yscale=scale if positive else "linear")
        axes.grid(alpha=0.3)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        if field == measured:
            values = [record[f"val_{field}"] for record in held_out]
            values = [math.nan if value is None else value for value in values]
            axes.plot([r["step"] for r in held_out], values, "o-", label="held out", markersize=4)
            axes.legend()
    save_figure(figure, path)


def report_text(run: Run, banner: Sequence[str], records: Sequence[Record]) -> str:
    """The report as Markdown."""
    training = [record for record in records if not is_held_out(record)]
    lines = [f"# {run.recipe.name}: training", "", *(f"- {line}" for line in banner), ""]
    if training:
        last = training[-1]
        speed = statistics.median(record["tokens_per_s"] for record in training)
        lines += [
            f"Step {last['step']:,} of {run.recipe.train.max_steps:,}, {last['tokens']:,} tokens, "
            f"after {clock(last['elapsed_s'])}: loss {_number(last['loss'])}, "
            f"{speed:,.0f} tokens/s (median), MFU {last['mfu']:.0%}.",
            "",
        ]
    lines += [f"![loss, learning rate, gradient norm and speed]({FIGURE})", ""]
    held_out = [record for record in records if is_held_out(record)]
    if held_out and "val_reward" in held_out[0]:
        lines += ["| step | held-out reward |", "|--:|--:|"]
        lines += [f"| {r['step']:,} | {_number(r['val_reward'])} |" for r in held_out]
        return "\n".join(lines) + "\n"
    if held_out:
        lines += ["| step | held-out loss | perplexity | bits per byte |", "|--:|--:|--:|--:|"]
        lines += [_row(record) for record in held_out]
        lines += [""]
    lines += ["Measured on part of the held-out text. The whole of it, and what the model writes:"]
    lines += [f"`python eval_pretrain.py --run {run.path}`"]
    return "\n".join(lines) + "\n"


def _row(record: Record) -> str:
    loss = record["val_loss"]
    perplexity = math.nan if loss is None else math.exp(min(loss, 700.0))
    bits = record["bits_per_byte"]
    return f"| {record['step']:,} | {_number(loss)} | {perplexity:,.2f} | {_number(bits)} |"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"
