"""The training run, from a recipe to a run directory."""

import dataclasses
import logging
from collections.abc import Callable
from contextlib import nullcontext

from mindspore import Model, Tensor

from chat.template import ChatTemplate
from common.errors import UserError
from common.logs import set_up_logging
from corpus.base_model import base_tokenizer
from corpus.vocabulary import tokenizer_for
from model.config import AdapterConfig, ModelConfig
from model.llama import Llama
from recipe import Recipe
from runs.base import Base, load_adapted
from runs.checkpoint import OPTIMIZER, WEIGHTS, load_parameters, load_values
from runs.device import select_device, select_dtype, select_kernels
from runs.run import LOG, RECIPE, Run
from tokenizer.tokenizer import Tokenizer
from training.adapting import find_base, make_network, measured_network
from training.banner import banner
from training.checks import (
    check_agreement,
    check_same_data,
    check_same_reference,
    check_same_start,
)
from training.hooks.make import make_callbacks, open_records
from training.hooks.registry import find_loggers
from training.initial import InitialWeights, Reference
from training.max_minutes import limit_line, with_steps_of_begun_run, with_steps_that_fit
from training.objectives.registry import STAGES
from training.parallel import join_world, values_of_all
from training.prepared import PreparedRun
from training.signals import StopSignal
from training.step import TrainStep, make_step

log = logging.getLogger(__name__)

ReadInitial = Callable[[Recipe, Tokenizer], InitialWeights]


def train(recipe: Recipe, read_initial: ReadInitial | None = None) -> int:
    """Train until `max_steps` or a signal; returns the exit status (128 + signal if stopped).

    `read_initial` reads what `train.init_from` names, when a run starts that has one.

    Raises:
        UserError: data, recipe, checkpoint or device do not fit together.
    """
    prepared = prepare(recipe)
    initial, stage = None, STAGES[recipe.objective.kind]
    begins = not prepared.run.checkpoints.all()
    if recipe.train.init_from and (begins or stage.needs_reference(recipe.objective)):
        initial = read_initial(prepared.run.recipe, prepared.tokenizer)
    with prepared.run.held() if prepared.world.rank == 0 else nullcontext():
        return train_prepared(prepared, initial)


def show_plan(recipe: Recipe) -> int:
    """Say what `train` would do, and neither do nor create it; returns 0.

    Raises:
        UserError: data, recipe, checkpoint or device do not fit together.
    """
    prepared = prepare(recipe)
    set_up_logging(quiet=prepared.world.rank > 0)
    limit = limit_line(prepared)
    for line in banner(prepared) + ([limit] if limit else []):
        log.info(line)
    return 0


def prepare(recipe: Recipe) -> PreparedRun:
    """Set the device, join the other ranks, and open what the recipe names.

    Raises:
        UserError: data, recipe or device do not fit together, or a logger's package is missing.
    """
    target = select_device(recipe.train.device)
    dtype = select_dtype(recipe.train.compute_dtype, target)
    world = join_world()
    find_loggers(recipe.train.loggers)
    tokenizer, template = open_tokenizer(recipe)
    recipe = dataclasses.replace(
        recipe,
        model=fit_vocabulary(recipe.model, tokenizer),
        tokenizer=dataclasses.replace(recipe.tokenizer, kind=tokenizer.kind),
    )
    recipe = with_steps_of_begun_run(recipe)
    feed = STAGES[recipe.objective.kind].feed(recipe, tokenizer, template)
    run = open_run(recipe, tokenizer)
    # A kernel that is done again adds its gradient again.
    reason = "train.recompute is on" if recipe.train.recompute else None
    kernels = select_kernels(recipe.train.kernels, dtype, reason)
    return PreparedRun(run, tokenizer, template, feed, target, dtype, world, *kernels)


def open_tokenizer(recipe: Recipe) -> tuple[Tokenizer, ChatTemplate | None]:
    """The tokenizer of a recipe, and its chat template if it trains on dialogues.

    A model that is trained further brings its own; once the run has begun, it holds copies.

    Raises:
        UserError: there is none, or it is not usable.
    """
    if recipe.data.kind == "text":
        return tokenizer_for(recipe.tokenizer, recipe.data), None
    begun = (recipe.run_dir / RECIPE).is_file()
    base = str(recipe.run_dir) if begun else recipe.train.init_from
    return base_tokenizer(base, recipe.tokenizer, recipe.data)


def train_prepared(prepared: PreparedRun, initial: InitialWeights | None) -> int:
    """What `train` does once recipe, data, device and initial weights are known to fit."""
    path, world = prepared.run.path, prepared.world
    set_up_logging(path / LOG if world.rank == 0 else None, quiet=world.rank > 0)
    check_agreement(prepared)
    check_same_data(prepared)
    prepared = with_steps_that_fit(prepared)
    run = prepared.run
    if prepared.start_step >= prepared.max_steps:
        fields = "train.max_steps"
        if prepared.config.max_minutes is not None:
            fields = "train.max_steps, with train.max_minutes null,"
        log.info(
            f"{path} is trained: {prepared.start_step:,} steps are done; raise {fields} to train "
            "on, or choose another name"
        )
        return 0
    check_same_start(prepared)
    lines = banner(prepared) + (initial.lines if initial else [])
    for line in lines:
        log.info(line)
    network, base = make_network(prepared), None
    stage = STAGES[run.recipe.objective.kind]
    objective = stage.objective(network, run.recipe.objective)
    step_cell = make_step(prepared, objective)
    log.info(f"optimizer: {step_cell.optimizer.n_bytes / 2**20:,.1f} MiB of moments a rank")
    if world.size > 1 and prepared.native:
        log.info(f"gradients: exchanged {step_cell.gradients.exchange.words}")
    measured = stage.objective(measured_network(prepared, network), run.recipe.objective)
    if prepared.checkpoint:
        base = restore(prepared, network, step_cell)
    elif initial:
        initial.fill(network)
        if run.recipe.adapter.kind == "lora" and world.rank == 0:
            base = find_base(prepared, network, initial)
    reference = None
    if stage.needs_reference(run.recipe.objective):
        check_same_reference(prepared, initial)
        reference = Reference(make_network(prepared), initial.fingerprint)
        initial.fill(reference.network)
    prepared.feed.attach(network, reference, world)
    del reference  # unless the feed keeps it, one network stays in memory
    if world.rank == 0:
        run.create(prepared.tokenizer, prepared.start_step, prepared.template)
    records = open_records(prepared, lines) if world.rank == 0 else None
    with StopSignal(world, prepared.config.log_interval) as stop, records or nullcontext():
        hooks = make_callbacks(prepared, measured, step_cell, stop, records, base)
        try:
            rest = prepared.batches(prepared.max_steps - prepared.start_step)
            Model(step_cell).train(1, rest, hooks, dataset_sink_mode=False)
        finally:
            prepared.feed.close()
    values_of_all(0, world)  # msrun kills the others when a rank that was stopped ends
    return 128 + stop.number if stop.name else 0


def fit_vocabulary(model: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The model's shape with its vocabulary size known.

    Raises:
        UserError: the recipe gives the model fewer ids than the tokenizer has.
    """
    size = model.vocab_size or tokenizer.vocab_size
    if size < tokenizer.vocab_size:
        raise UserError(
            f"model.vocab_size is {size}, but {tokenizer.model_file} has {tokenizer.vocab_size} "
            "ids; leave model.vocab_size out to take the tokenizer's"
        )
    return dataclasses.replace(model, vocab_size=size)


def open_run(recipe: Recipe, tokenizer: Tokenizer) -> Run:
    """The run of a recipe; nothing is written yet.

    Raises:
        UserError: its directory holds a run of another shape or tokenizer, or one that
            `train.resume never` forbids to go on with.
    """
    run = Run(recipe.run_dir, recipe)
    if run.checkpoints.all():
        old = Run.open(run.path)
        if recipe.train.resume == "never":
            raise UserError(
                f"{run.path} holds checkpoints and train.resume is never; "
                "choose another name or delete that folder"
            )
        changed = changed_fields(old.recipe, recipe)
        if changed:
            raise UserError(
                f"{run.path} was trained with another {', '.join(changed)}; put back the values of "
                f"{run.path / RECIPE} or choose another name"
            )
        if old.tokenizer().fingerprint != tokenizer.fingerprint:
            raise UserError(
                f"{run.path} was trained with another tokenizer than "
                f"{tokenizer.model_file}; choose another name"
            )
    return run


def changed_fields(old: Recipe, new: Recipe) -> list[str]:
    """Fields that a resumed run cannot change: model shape, what is trained and on what, how."""
    fields = [("model", field.name) for field in dataclasses.fields(ModelConfig)]
    fields += [("adapter", field.name) for field in dataclasses.fields(AdapterConfig)]
    fields += [("train", name) for name in ("tokens_per_step", "seed", "optimizer")]
    fields += [("objective", "kind")]
    return [
        f"{section}.{name}"
        for section, name in fields
        if getattr(getattr(old, section), name) != getattr(getattr(new, section), name)
    ]


def restore(prepared: PreparedRun, network: Llama, step_cell: TrainStep) -> Base | None:
    """Load the checkpoint that the run goes on from into the network and the training state.

    Returns the base of an adapter, and None where all weights are trained.

    Raises:
        UserError: the checkpoint holds no training state, or another shape.
    """
    checkpoint, parameters, base = prepared.checkpoint, list(network.get_parameters()), None
    if not (checkpoint.path / OPTIMIZER).is_file():
        raise UserError(
            f"{checkpoint.path} has weights but no {OPTIMIZER}, so its training cannot go on; "
            f"start another run from it with --train.init_from {prepared.run.path}"
        )
    if checkpoint.has_adapter:
        base = load_adapted(checkpoint, parameters)
    else:
        load_parameters(checkpoint.path / WEIGHTS, parameters)
    optimizer, counters = step_cell.optimizer, step_cell.counters()
    shapes = optimizer.moment_shapes() | {p.name: p.shape for p in counters}
    values = load_values(checkpoint.path / OPTIMIZER, shapes)
    optimizer.set_moments(values)
    for counter in counters:
        counter.set_data(Tensor(values[counter.name]))
    log.info(f"continuing from {checkpoint.path}")
    return base
