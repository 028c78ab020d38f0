"""How many steps fit into `train.max_minutes`: measured once, before a run's first step."""

import dataclasses
import gc
import logging
import time

import numpy as np
from mindspore import Model, Tensor, ms_memory_recycle, nn

from common.errors import UserError
from common.memory import return_freed_memory
from recipe import Recipe
from runs.run import RECIPE, Run
from training.adapting import make_network
from training.hooks.base import StepCallback
from training.hooks.metrics import clock
from training.objectives.registry import STAGES
from training.parallel import values_of_all
from training.prepared import PreparedRun
from training.step import TrainStep, make_step

log = logging.getLogger(__name__)

MEASURED_SECONDS, MEASURED_STEPS = 6.0, 3
"""A measurement lasts as long, and as many steps, after the one that compiles."""
RESERVE = 0.05
"""Share of the time that is kept for checkpoints, reports and a machine that slows down."""
FORWARD = 1 / 3
"""Share of a step's time that its forward pass takes; a gradient costs about two of them."""


def with_steps_of_begun_run(recipe: Recipe) -> Recipe:
    """The recipe with the `max_steps` of the run that it goes on with, if it has `max_minutes`.

    So the steps of a run are chosen once; `max_steps` stays their upper bound.
    """
    run = _begun_run(recipe)
    return _with_max_steps(recipe, run.recipe.train.max_steps) if run else recipe


def with_steps_that_fit(prepared: PreparedRun) -> PreparedRun:
    """The same run with as many steps as fit into `max_minutes`, at most `max_steps`.

    A run that has begun keeps its own. All ranks take what the first one measured.

    Raises:
        UserError: not a single step fits.
    """
    config, run = prepared.config, prepared.run
    if config.max_minutes is None or _begun_run(run.recipe):
        return prepared
    begin = time.perf_counter()
    log.info(f"train.max_minutes is {config.max_minutes:g}: measuring how long a step takes")
    first, step = measure(prepared)
    passed = time.perf_counter() - begin
    # What follows compiles once more.
    left = (1 - RESERVE) * 60 * config.max_minutes - passed - first
    fitting = max(0, int(left / (step + evaluation_seconds(prepared, step) / config.eval_interval)))
    steps = int(values_of_all(min(fitting, config.max_steps), prepared.world)[0])
    if not steps:
        raise UserError(
            f"train.max_minutes is {config.max_minutes:g}, but compiling takes {first:.0f} s and a "
            f"step {step:.2f} s, so that not one fits; raise it"
        )
    limit = "all of" if steps == config.max_steps else "of at most"
    log.info(
        f"a step takes {step:.3f} s: max_steps is {steps:,}, {limit} {config.max_steps:,}, which "
        f"take about {clock(steps * step)}"
    )
    if steps <= config.warmup_steps:
        log.warning(
            f"{steps:,} steps are not more than train.warmup_steps {config.warmup_steps:,}; "
            "raise train.max_minutes, or take a smaller model"
        )
    recipe = _with_max_steps(run.recipe, steps)
    return dataclasses.replace(prepared, run=Run(run.path, recipe))


def limit_line(prepared: PreparedRun) -> str | None:
    """What `train` will do about `max_minutes`, for a plan; None: nothing."""
    config = prepared.config
    if config.max_minutes is None:
        return None
    if _begun_run(prepared.run.recipe):
        return f"limit: max_steps {config.max_steps:,} was chosen when the run began"
    return (
        f"limit: train.max_minutes is {config.max_minutes:g}; how long a step takes is measured "
        f"before step 1, and max_steps becomes as many as fit, at most {config.max_steps:,}"
    )


def measure(prepared: PreparedRun) -> tuple[float, float]:
    """Seconds of the first step, which compiles, and of a later one.

    The steps are those of a network of its own, whose memory is given back, and rows are a function
    of their position, so nothing that the run is made of changes.
    """
    network, recipe = make_network(prepared), prepared.run.recipe
    objective = STAGES[recipe.objective.kind].objective(network, recipe.objective)
    timer = StepTimer(prepared)
    steps = prepared.batches(prepared.max_steps)
    step = make_step(prepared, objective)
    Model(step).train(1, steps, [timer], dataset_sink_mode=False)
    release(step)
    first, *later = (after - before for before, after in zip(timer.marks, timer.marks[1:]))
    return first, sum(later) / len(later) if later else first


def release(step: TrainStep) -> None:
    """Give back the memory of a step's weights, moments and gradients, after its last call.

    MindSpore keeps a cell that it has compiled, and all that belongs to it, to the end.
    """
    # It walks through a table of all cells, which must not change: none may be dropped meanwhile.
    cells = [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Cell)]
    ms_memory_recycle()
    del cells
    for _, parameter in step.parameters_and_names():
        parameter.set_data(Tensor(np.zeros(1), parameter.dtype), slice_shape=True)
    step.gradients.release()
    return_freed_memory()


class StepTimer(StepCallback):
    """Marks the end of each step, and ends the training once the measurement is long enough."""

    def __init__(self, prepared: PreparedRun):
        super().__init__(prepared)
        self.marks = [time.perf_counter()]

    def on_step(self, step, outputs, run_context):
        """Wait for the device, mark, and stop together with the other ranks."""
        float(outputs[0])
        self.marks.append(time.perf_counter())
        if len(self.marks) > 1 + MEASURED_STEPS:
            lasted = values_of_all(self.marks[-1] - self.marks[1], self.prepared.world)[0]
            if lasted >= MEASURED_SECONDS:
                run_context.request_stop()


def evaluation_seconds(prepared: PreparedRun, step: float) -> float:
    """How long an evaluation on held-out rows takes, when a step takes so many seconds."""
    every = len(prepared.feed.held_out)
    rows = min(prepared.config.eval_rows or every, every)
    return FORWARD * step * rows / prepared.rows_per_step


def _begun_run(recipe: Recipe) -> Run | None:
    """The run whose steps were chosen: it has a checkpoint, or the same model and training."""
    if recipe.train.max_minutes is None or not (recipe.run_dir / RECIPE).is_file():
        return None
    run = Run.open(recipe.run_dir)
    train = dataclasses.replace(run.recipe.train, max_steps=recipe.train.max_steps)
    same = train == recipe.train and run.recipe.model == recipe.model
    return run if run.checkpoints.all() or same else None


def _with_max_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with so many steps, or its own if they are fewer."""
    steps = min(steps, recipe.train.max_steps)
    return dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, max_steps=steps))
