"""The training run, from a recipe to a run directory."""

import dataclasses
import logging
import zlib
from collections.abc import Callable
from contextlib import nullcontext

from mindspore import Model, Tensor
from mindspore import dtype as mstype

from common.errors import UserError
from common.logs import set_up_logging
from corpus.token_file import TokenFile, open_split
from corpus.vocabulary import tokenizer_for
from model.config import ModelConfig
from model.llama import Llama
from recipe import Recipe
from runs.checkpoint import (
    OPTIMIZER,
    WEIGHTS,
    Checkpoint,
    load_parameters,
    load_values,
)
from runs.device import explain_device, measure_peak_flops, select_device, select_dtype
from runs.run import LOG, RECIPE, Run
from tokenizer.tokenizer import Tokenizer
from training.banner import banner
from training.config import TrainConfig
from training.dataset import RowStream, batches
from training.heldout import HeldOut
from training.hooks.make import make_callbacks, open_records
from training.hooks.registry import find_loggers
from training.initial import InitialWeights
from training.parallel import World, join_world, values_of_all
from training.plan import Plan, make_plan
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
    job = prepare(recipe)
    initial = None
    if recipe.train.init_from and not job.run.checkpoints.all():
        initial = read_initial(job.run.recipe, job.tokenizer)
    with job.run.held() if job.world.rank == 0 else nullcontext():
        return run_job(job, initial)


def show_plan(recipe: Recipe) -> int:
    """Say what `train` would do, and neither do nor create it; returns 0.

    Raises:
        UserError: data, recipe, checkpoint or device do not fit together.
    """
    job = prepare(recipe)
    set_up_logging(quiet=job.world.rank > 0)
    checkpoint = job.run.newest_checkpoint()
    peak_flops = job.world.size * measure_peak_flops(job.dtype)
    for line in job.banner(peak_flops, checkpoint.step if checkpoint else 0):
        log.info(line)
    return 0


@dataclasses.dataclass(frozen=True)
class Job:
    """A run whose recipe, data and device were checked; nothing is written yet."""

    run: Run
    plan: Plan
    tokenizer: Tokenizer
    train_file: TokenFile
    val_file: TokenFile
    target: str
    dtype: mstype.Type
    world: World

    def banner(self, peak_flops: float, start_step: int) -> list[str]:
        """What is said before the first step; `peak_flops` of all ranks."""
        config, past = self.run.recipe.train, self.run.metrics()
        device = f"{self.target} ({explain_device(config.device, self.target)})"
        dtype = str(self.dtype).lower()
        return banner(self.plan, config, device, dtype, self.world, peak_flops, start_step, past)


def prepare(recipe: Recipe) -> Job:
    """Set the device, join the other ranks, and open what the recipe names.

    Raises:
        UserError: data, recipe or device do not fit together, or a logger's package is missing.
    """
    target = select_device(recipe.train.device)
    dtype = select_dtype(recipe.train.compute_dtype, target)
    world = join_world()
    find_loggers(recipe.train.loggers)
    tokenizer = tokenizer_for(recipe.tokenizer, recipe.data)
    train_file, val_file = open_checked(recipe, tokenizer)
    model = fit_vocabulary(recipe.model, tokenizer)
    plan = make_plan(recipe, model, train_file, val_file, world)
    run = open_run(dataclasses.replace(recipe, model=model), tokenizer)
    return Job(run, plan, tokenizer, train_file, val_file, target, dtype, world)


def run_job(job: Job, initial: InitialWeights | None) -> int:
    """What `train` does once recipe, data, device and initial weights are known to fit."""
    run, plan, world, config = job.run, job.plan, job.world, job.run.recipe.train
    set_up_logging(run.path / LOG if world.rank == 0 else None, quiet=world.rank > 0)
    checkpoint = run.newest_checkpoint()
    start_step = checkpoint.step if checkpoint else 0
    check_agreement(job, start_step)
    if checkpoint:
        check_same_data(checkpoint, job.train_file)
    if start_step >= plan.max_steps:
        log.info(
            f"{run.path} is trained: {start_step:,} steps are done; raise train.max_steps "
            "to train on, or choose another name"
        )
        return 0
    peak_flops = world.size * measure_peak_flops(job.dtype)
    lines = job.banner(peak_flops, start_step) + (initial.lines if initial else [])
    for line in lines:
        log.info(line)

    network = make_network(plan.model, job.dtype, config)
    half = job.dtype == mstype.float16
    drops = plan.model.dropout > 0
    step_cell = TrainStep(network, config, plan.micro_batches, half, world, drops)
    log.info(f"optimizer: {step_cell.optimizer.n_bytes / 2**20:,.1f} MiB of moments a rank")
    if checkpoint:
        restore(checkpoint, step_cell, network)
    elif initial:
        initial.fill(network)
    if world.rank == 0:
        run.create(job.tokenizer, start_step)
    stream = RowStream(
        job.train_file,
        plan.model.max_seq_len,
        job.tokenizer.eos_id,
        config.seed,
        start=start_step * plan.rows_per_step,
        length=(plan.max_steps - start_step) * plan.micro_batches * plan.micro_batch,
        rank=world.rank,
        world=world.size,
    )
    held_out = HeldOut(network, job.val_file, job.tokenizer.eos_id, plan.micro_batch, world)
    records = open_records(run, lines) if world.rank == 0 else None
    with StopSignal(world, config.log_interval) as stop, records or nullcontext():
        hooks = make_callbacks(
            run, plan, checkpoint, stop, step_cell, held_out, records, peak_flops
        )
        Model(step_cell).train(1, batches(stream, plan.micro_batch), hooks, dataset_sink_mode=False)
    values_of_all(0, world)  # msrun kills the others when a rank that was stopped ends
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
    """Fields that a resumed run cannot change: model shape, order of the data, optimizer."""
    fields = [("model", field.name) for field in dataclasses.fields(ModelConfig)]
    fields += [("train", name) for name in ("tokens_per_step", "seed", "optimizer")]
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


def check_agreement(job: Job, start_step: int) -> None:
    """Make sure that all ranks will do the same, and start from the same step.

    Raises:
        UserError: they see different checkpoints, recipes or data.
    """
    asked = zlib.crc32(repr((job.plan, job.run.recipe.train)).encode()) >> 8  # exact in float32
    for name, value, mend in (
        ("recipe or training file", asked, "give all machines the same options and files"),
        ("step", start_step, "out_dir must be a folder that all machines share"),
    ):
        values = values_of_all(value, job.world)
        other = [rank for rank, each in enumerate(values) if each != values[0]]
        if other:
            raise UserError(f"rank {other[0]} starts from another {name} than rank 0; {mend}")


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
