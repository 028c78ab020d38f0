"""All hooks of a run, put together."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import mindspore as ms
from mindspore import Callback

from runs.base import Base
from runs.checkpoint import copy_values
from runs.run import METRICS, RECIPE
from training.hooks.evaluate import Evaluate
from training.hooks.metrics import Metrics
from training.hooks.records import Records
from training.hooks.registry import find_loggers
from training.hooks.report import TrainingReport
from training.hooks.save import Save
from training.hooks.spike import SpikeWarning
from training.hooks.stop_when_bad import StopWhenBad
from training.objectives.base import Objective
from training.prepared import PreparedRun
from training.signals import StopSignal
from training.step import TrainStep

log = logging.getLogger(__name__)


def open_records(prepared: PreparedRun, banner: Sequence[str]) -> Records:
    """The records of a run whose directory exists, with all that reads along; for rank 0 only.

    Raises:
        UserError: a logger cannot begin.
    """
    run = prepared.run
    past = run.metrics()
    asked = [logger.begin(run, past) for logger in find_loggers(run.recipe.train.loggers)]
    return Records(run.path / METRICS, [SpikeWarning(past), TrainingReport(run, banner), *asked])


def make_callbacks(
    prepared: PreparedRun,
    objective: Objective,
    step_cell: TrainStep,
    stop: StopSignal,
    records: Records | None,
    base: Base | None = None,
) -> list[Callback]:
    """The callbacks of this rank. Only rank 0 has `records`, and only it writes.

    Args:
        prepared: the run.
        objective: what is measured on held-out data.
        step_cell: what trains.
        stop: a signal that ends the run.
        records: where figures go.
        base: of the adapter, if one is trained.
    """
    metrics = Metrics(prepared, records, objective.measures) if records else None
    feed, world = prepared.feed, prepared.world
    held_out = feed.held_out_measure(objective, prepared.config.micro_batch, world)
    evaluate = Evaluate(prepared, held_out, metrics)
    save = Save(prepared, snapshots(prepared, step_cell, evaluate, base), stop)
    guard = StopWhenBad(prepared, save)
    own = [hook for hook in (metrics, evaluate, save, guard) if hook]
    return [*own, *feed.hooks(prepared.start_step, prepared.max_steps)]


def snapshots(
    prepared: PreparedRun, step_cell: TrainStep, evaluate: Evaluate, base: Base | None
) -> Callable[[int], Callable[[], None] | None]:
    """A function that copies the state after a step and returns what writes the copy.

    What is trained is saved, and which `base` an adapter belongs to. Only the first rank writes;
    on the others it returns None.
    """
    optimizer = step_cell.optimizer
    weights = optimizer.all_weights()
    metrics = evaluate.metrics

    def snapshot(step: int) -> Callable[[], None] | None:
        if metrics is None:
            if prepared.config.shard_optimizer:
                optimizer.moments()  # the first rank gathers them from all
            return None
        state = {
            "tokens": step * prepared.tokens_per_step,
            "data": prepared.feed.fingerprint,
            "val_loss": evaluate.losses.get(step),
            "elapsed_s": metrics.elapsed,
            "device": ms.get_context("device_target"),
            "compute_dtype": str(prepared.dtype).lower(),
        }
        if prepared.feed.reference:
            state["reference"] = prepared.feed.reference
        if base is not None:
            state["base"] = base.state(prepared.run.path)
        with metrics.paused():
            values = copy_values(weights)
            moments = optimizer.moments() | copy_values(step_cell.counters())
        return lambda: write(step, values, moments, state)

    def write(step: int, *content: Any) -> None:
        run = prepared.run
        run.checkpoints.save(step, *content)
        if not (run.path / RECIPE).is_file():
            log.warning(f"{run.path} was deleted while it was trained; it is made again")
            run.describe(prepared.tokenizer, prepared.template)

    return snapshot
