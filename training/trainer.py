"""The training run, from a recipe to a run directory."""

import dataclasses
import logging
from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Model, Tensor
from mindspore import dtype as mstype

from common.errors import UserError
from common.logs import set_up_logging
from corpus.token_file import TokenFile, open_split
from corpus.vocabulary import tokenizer_for
from model.config import ModelConfig
from model.llama import Llama
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer
from training import callbacks
from training.checkpoint import (
    OPTIMIZER,
    WEIGHTS,
    Checkpoint,
    copy_values,
    load_parameters,
    load_values,
)
from training.config import TrainConfig
from training.dataset import RowStream, batches
from training.device import measure_peak_flops, select_device, select_dtype
from training.heldout import HeldOut
from training.initial import InitialWeights
from training.parallel import World, all_reduce_sum, join_world
from training.plan import Plan, make_plan
from training.run import LOG, RECIPE, Run
from training.signals import StopSignal
from training.step import TrainStep

log = logging.getLogger(__name__)

ReadInitial = Callable[[Recipe, Tokenizer], InitialWeights]


def train(recipe: Recipe, read_initial: ReadInitial | None = None) -> int:
    """Train until `max_steps` or a signal; returns the exit status (128 + signal if stopped).

    `read_initial` reads what `train.init_from` names, when a run starts that has one.

    Raises:
        UserError: data, recipe, checkpoint or device do not fit together.
    """
    target = select_device(recipe.train.device)
    dtype = select_dtype(recipe.train.compute_dtype, target)
    world = join_world()
    tokenizer = tokenizer_for(recipe.tokenizer, recipe.data)
    train_file, val_file = open_checked(recipe, tokenizer)
    model_config = fit_vocabulary(recipe.model, tokenizer)
    plan = make_plan(recipe, model_config, train_file, val_file, world)
    run = open_run(dataclasses.replace(recipe, model=model_config), tokenizer)
    initial = None
    if recipe.train.init_from and not run.checkpoints.all():
        initial = read_initial(run.recipe, tokenizer)
    set_up_logging(run.path / LOG if world.rank == 0 else None, quiet=world.rank > 0)
    checkpoint = run.newest_checkpoint()
    start_step = checkpoint.step if checkpoint else 0
    check_agreement(start_step, world)
    if checkpoint:
        check_same_data(checkpoint, train_file)
    if start_step >= plan.max_steps:
        log.info(
            f"{run.path} is trained: {start_step:,} steps are done; raise train.max_steps "
            "to train on, or choose another name"
        )
        return 0
    for line in plan.lines(target, str(dtype).lower(), world) + (initial.lines if initial else []):
        log.info(line)

    network = make_network(model_config, dtype, recipe.train)
    half = dtype == mstype.float16
    step_cell = TrainStep(network, recipe.train, plan.micro_batches, half, world)
    log.info(f"optimizer: {step_cell.optimizer.n_bytes / 2**20:,.1f} MiB of moments a rank")
    if checkpoint:
        restore(checkpoint, step_cell, network)
    elif initial:
        initial.fill(network)
    if world.rank == 0:
        run.create(tokenizer, start_step)
    stream = RowStream(
        train_file,
        model_config.max_seq_len,
        tokenizer.eos_id,
        recipe.train.seed,
        start=start_step * plan.rows_per_step,
        length=(plan.max_steps - start_step) * plan.micro_batches * plan.micro_batch,
        rank=world.rank,
        world=world.size,
    )
    held_out = HeldOut(network, val_file, tokenizer.eos_id, plan.micro_batch, world)
    with StopSignal(world, recipe.train.log_interval) as stop:
        hooks = make_callbacks(run, plan, checkpoint, stop, step_cell, held_out)
        Model(step_cell).train(1, batches(stream, plan.micro_batch), hooks, dataset_sink_mode=False)
    return 128 + stop.number if stop.name else 0


def make_network(model: ModelConfig, dtype, config: TrainConfig) -> Llama:
    """A network with random weights; `train.recompute` is put into effect."""
    network = Llama(model, dtype, config.seed)
    if config.recompute:
        for block in network.layers:
            block.recompute()
    return network


def open_checked(recipe: Recipe, tokenizer: Tokenizer) -> tuple[TokenFile, TokenFile]:
    """The training and the held-out file, both checked against the tokenizer.

    Raises:
        UserError: a file is missing, damaged, or made with another tokenizer.
    """
    files = open_split(recipe.data.dir)
    for file in files:
        file.check(tokenizer)
    return files


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
    """Fields that a resumed run cannot change: the model's shape, and the order of the data."""
    fields = [("model", field.name) for field in dataclasses.fields(ModelConfig)]
    fields += [("train", "tokens_per_step"), ("train", "seed")]
    return [
        f"{section}.{name}"
        for section, name in fields
        if getattr(getattr(old, section), name) != getattr(getattr(new, section), name)
    ]


def check_same_data(checkpoint: Checkpoint, train_file: TokenFile) -> None:
    """Make sure that the place in the data, which a checkpoint holds, still means the same.

    Raises:
        UserError: the training file is another one than it was.
    """
    known = checkpoint.state().get("data", train_file.fingerprint)
    if known != train_file.fingerprint:
        raise UserError(
            f"{checkpoint.path} was trained on other contents of {train_file.path}; put the old "
            "file back, or go on under another name with --train.init_from "
            f"{checkpoint.path.parent.parent}"
        )


def check_agreement(start_step: int, world: World) -> None:
    """Make sure that all ranks start from the same step.

    Raises:
        UserError: they see different checkpoints.
    """
    steps = all_reduce_sum()(Tensor(np.array([start_step], np.float32))).asnumpy()[0]
    if steps != start_step * world.size:
        raise UserError(
            f"rank {world.rank} starts from step {start_step} and others from another; "
            "out_dir must be a folder that all machines share"
        )


def restore(checkpoint: Checkpoint, step_cell: TrainStep, network: Llama) -> None:
    """Load a checkpoint into the network and the training state."""
    load_parameters(checkpoint.path / WEIGHTS, list(network.get_parameters()))
    optimizer, counters = step_cell.optimizer, step_cell.counters()
    shapes = optimizer.moment_shapes() | {p.name: p.shape for p in counters}
    values = load_values(checkpoint.path / OPTIMIZER, shapes)
    optimizer.set_moments(values)
    for counter in counters:
        counter.set_data(Tensor(values[counter.name]))
    log.info(f"going on from {checkpoint.path}")


def make_callbacks(
    run: Run,
    plan: Plan,
    checkpoint: Checkpoint | None,
    stop: StopSignal,
    step_cell: TrainStep,
    held_out: HeldOut,
) -> list[callbacks.StepCallback]:
    """The callbacks of this rank, for a run that starts from `checkpoint`; only rank 0 writes."""
    config, world, dtype = run.recipe.train, held_out.world, held_out.network.compute_dtype
    start_step = checkpoint.step if checkpoint else 0
    elapsed = checkpoint.state()["elapsed_s"] if checkpoint else 0.0
    weights, optimizer = list(held_out.network.get_parameters()), step_cell.optimizer
    peak_flops = world.size * measure_peak_flops(dtype)
    metrics = None
    if world.rank == 0:
        metrics = callbacks.Metrics(plan, start_step, run, config.log_interval, peak_flops, elapsed)

    evaluate = callbacks.Evaluate(
        plan, start_step, held_out, config.eval_interval, config.eval_rows, metrics
    )

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

    save = callbacks.Save(plan, start_step, snapshot, config.save_interval, stop)
    guard = callbacks.StopWhenBad(plan, start_step, config.max_bad_steps, save)
    hooks = [metrics, evaluate, save, guard]
    return [hook for hook in hooks if hook]
