"""The training run, from a recipe to a run directory."""

import dataclasses
import logging

import mindspore as ms
from mindspore import Model
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
from training.checkpoint import OPTIMIZER, WEIGHTS, load_parameters, split_parameters
from training.dataset import RowStream, batches
from training.device import measure_peak_flops, select_device, select_dtype
from training.heldout import HeldOut
from training.parallel import World, join_world
from training.plan import Plan, make_plan
from training.run import LOG, RECIPE, Run
from training.signals import StopSignal
from training.step import TrainStep

log = logging.getLogger(__name__)


def train(recipe: Recipe) -> int:
    """Train until `max_steps` or a signal; returns the exit status (128 + signal if stopped).

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
    run = open_run(dataclasses.replace(recipe, model=model_config), tokenizer, world)
    for line in plan.lines(target, str(dtype).lower(), world):
        log.info(line)

    network = Llama(model_config, dtype, recipe.train.seed)
    step_cell = TrainStep(network, recipe.train, plan.micro_batches, dtype == mstype.float16)
    start_step, elapsed = restore(run, step_cell, network)
    if start_step >= plan.max_steps:
        log.info(
            f"{run.path} is trained: {start_step:,} steps are done; raise train.max_steps "
            "to train on, or choose another name"
        )
        return 0
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
    with StopSignal() as stop:
        hooks = make_callbacks(run, plan, start_step, elapsed, stop, step_cell, held_out, world)
        Model(step_cell).train(1, batches(stream, plan.micro_batch), hooks, dataset_sink_mode=False)
    return 128 + stop.number if stop.name else 0


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


def open_run(recipe: Recipe, tokenizer: Tokenizer, world: World) -> Run:
    """The run directory, made on rank 0; other ranks neither write nor print.

    Raises:
        UserError: the directory holds a run of another shape or tokenizer, or one that
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
        if old.recipe.model != recipe.model:
            changed = [
                f.name
                for f in dataclasses.fields(ModelConfig)
                if getattr(old.recipe.model, f.name) != getattr(recipe.model, f.name)
            ]
            raise UserError(
                f"{run.path} was trained with another model: {', '.join(changed)} of the model "
                f"section differ from {run.path / RECIPE}; put them back or choose another name"
            )
        if old.tokenizer().fingerprint != tokenizer.fingerprint:
            raise UserError(
                f"{run.path} was trained with another tokenizer than "
                f"{tokenizer.model_file}; choose another name"
            )
    if world.rank == 0:
        run = Run.create(recipe, tokenizer)
        set_up_logging(run.path / LOG)
    else:
        set_up_logging(quiet=True)
    return run


def restore(run: Run, step_cell: TrainStep, network: Llama) -> tuple[int, float]:
    """Load the newest sound checkpoint; returns the steps done and the seconds they took."""
    checkpoint = run.newest_checkpoint()
    if checkpoint is None:
        return 0, 0.0
    weights, optimizer = split_parameters(step_cell, network)
    load_parameters(checkpoint.path / WEIGHTS, weights)
    load_parameters(checkpoint.path / OPTIMIZER, optimizer)
    log.info(f"going on from {checkpoint.path}")
    return checkpoint.step, checkpoint.state()["elapsed_s"]


def make_callbacks(
    run: Run,
    plan: Plan,
    start_step: int,
    elapsed: float,
    stop: StopSignal,
    step_cell: TrainStep,
    held_out: HeldOut,
    world: World,
) -> list[callbacks.StepCallback]:
    """The callbacks of this rank; only rank 0 writes files."""
    config, network = run.recipe.train, step_cell.network
    dtype = network.compute_dtype
    weights, optimizer = split_parameters(step_cell, network)

    def save(step: int, seconds: float) -> None:
        state = {
            "tokens": step * plan.tokens_per_step,
            "elapsed_s": seconds,
            "device": ms.get_context("device_target"),
            "compute_dtype": str(dtype).lower(),
        }
        run.checkpoints.save(step, weights, optimizer, state)

    peak_flops = world.size * measure_peak_flops(dtype)
    metrics = saver = None
    if world.rank == 0:
        run.cut_metrics(start_step)
        metrics = callbacks.Metrics(plan, start_step, run, config.log_interval, peak_flops, elapsed)
        saver = callbacks.Save(plan, start_step, metrics, save, config.save_interval, stop)
    evaluate = callbacks.Evaluate(
        plan, start_step, held_out, config.eval_interval, config.eval_rows, metrics
    )
    stop_when_bad = callbacks.StopWhenBad(plan, start_step, config.max_bad_steps)
    return [hook for hook in (metrics, evaluate, saver, stop_when_bad) if hook]
