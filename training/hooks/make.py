"""All hooks of a run, put together."""

from collections.abc import Callable, Sequence

import mindspore as ms

from runs.checkpoint import Checkpoint, copy_values
from runs.run import METRICS, Run
from training.heldout import HeldOut
from training.hooks.base import StepCallback
from training.hooks.evaluate import Evaluate
from training.hooks.metrics import Metrics
from training.hooks.records import Records
from training.hooks.registry import find_loggers
from training.hooks.report import TrainingReport
from training.hooks.save import Save
from training.hooks.spike import SpikeWarning
from training.hooks.stop_when_bad import StopWhenBad
from training.plan import Plan
from training.signals import StopSignal
from training.step import TrainStep


def open_records(run: Run, banner: Sequence[str]) -> Records:
    """The records of a run whose directory exists, with all that reads along; for rank 0 only.

    Raises:
        UserError: a logger cannot begin.
    """
    past = run.metrics()
    asked = [logger.begin(run, past) for logger in find_loggers(run.recipe.train.loggers)]
    return Records(run.path / METRICS, [SpikeWarning(past), TrainingReport(run, banner), *asked])


def make_callbacks(
    run: Run,
    plan: Plan,
    checkpoint: Checkpoint | None,
    stop: StopSignal,
    step_cell: TrainStep,
    held_out: HeldOut,
    records: Records | None,
    peak_flops: float,
) -> list[StepCallback]:
    """The callbacks of this rank, for a run that starts from `checkpoint`.

    Only rank 0 has `records`, and only it writes. `peak_flops` is that of all ranks.
    """
    config, dtype = run.recipe.train, held_out.network.compute_dtype
    start_step = checkpoint.step if checkpoint else 0
    elapsed = checkpoint.state()["elapsed_s"] if checkpoint else 0.0
    weights, optimizer = list(held_out.network.get_parameters()), step_cell.optimizer
    metrics = None
    if records is not None:
        metrics = Metrics(plan, start_step, records, config.log_interval, peak_flops, elapsed)
    evaluate = Evaluate(plan, start_step, held_out, config.eval_interval, config.eval_rows, metrics)

    def snapshot(step: int) -> Callable[[], None] | None:
        if metrics is None:
            if config.shard_optimizer:
                optimizer.moments()  # the first rank gathers them from all
            return None
        state = {
            "tokens": step * plan.tokens_per_step,
            "data": plan.data,
            "val_loss": evaluate.losses.get(step),
            "elapsed_s": metrics.elapsed,
            "device": ms.get_context("device_target"),
            "compute_dtype": str(dtype).lower(),
        }
        with metrics.paused():
            values = copy_values(weights)
            moments = optimizer.moments() | copy_values(step_cell.counters())
        return lambda: run.checkpoints.save(step, values, moments, state)

    save = Save(plan, start_step, snapshot, config.save_interval, stop)
    guard = StopWhenBad(plan, start_step, config.max_bad_steps, save)
    return [hook for hook in (metrics, evaluate, save, guard) if hook]
