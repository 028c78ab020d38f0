"""What a run will do, said before its first step."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from training.config import TrainConfig
from training.hooks.metrics import clock
from training.memory import estimate_memory
from training.parallel import World
from training.plan import Plan

ASSUMED_MFU = {"CPU": 0.6, "GPU": 0.35, "Ascend": 0.35}
"""Share of the matrix peak that a step reaches: on two CPU cores 0.5 at 3 M parameters and 0.9 at
60 M were measured, elsewhere it is a guess. What the log says of MFU is measured."""


def banner(
    plan: Plan,
    config: TrainConfig,
    device: str,
    dtype: str,
    world: World,
    peak_flops: float,
    start_step: int = 0,
    past: Iterable[Mapping[str, Any]] = (),
) -> list[str]:
    """Lines that say what is trained, on what, how much of it, and what it will take.

    Args:
        plan: the sizes of the run.
        config: its train section.
        device: target, and why it was chosen, such as "CPU (as train.device says)".
        dtype: type of the matrix products.
        world: this rank among all.
        peak_flops: measured peak of all ranks.
        start_step: the step that the run goes on from.
        past: its records so far.
    """
    model = plan.model
    ranks = f"{world.size} ranks" if world.size > 1 else "1 process"
    memory = estimate_memory(model, config, plan.micro_batches > 1, world)
    return [
        f"device {device}, {ranks}, products in {dtype}, all else in float32",
        f"model: dim {model.dim}, {model.n_layers} layers, {model.n_heads} heads, "
        f"{model.n_kv_heads} key-value heads, context {model.max_seq_len}, "
        f"vocabulary {model.vocab_size:,} padded to {model.padded_vocab_size:,}",
        parameters_line(plan),
        f"data: {plan.train_tokens:,} training tokens, {plan.val_tokens:,} held out",
        f"run: {plan.max_steps:,} steps of {plan.tokens_per_step:,} tokens "
        f"({plan.micro_batches} x {plan.micro_batch} rows a rank), {plan.epochs:.2f} epochs, "
        f"{plan.flops:.2e} operations",
        f"memory: about {memory / 2**30:.1f} GiB a rank, the framework included "
        "(estimated from what CPU processes took)",
        time_line(plan, device.split()[0], peak_flops, start_step, past),
    ]


def parameters_line(plan: Plan) -> str:
    """How many parameters there are, and where."""
    model = plan.model
    blocks, table = model.n_params(embedding=False), model.padded_vocab_size * model.dim
    head = "0, it shares the embedding" if model.tie_embeddings else f"{table:,}"
    return (
        f"parameters: {model.n_params():,} = embedding {table:,} + blocks {blocks:,} + head {head}"
    )


def time_line(
    plan: Plan, target: str, peak_flops: float, start_step: int, past: Iterable[Mapping[str, Any]]
) -> str:
    """How long the steps that remain will take; evaluations and checkpoints come on top."""
    steps = plan.max_steps - start_step
    measured = [record["mfu"] for record in past if record.get("mfu")]
    mfu = statistics.median(measured) if measured else ASSUMED_MFU[target]
    seconds = plan.flops * steps / plan.max_steps / (peak_flops * mfu)
    source = "as before in this run" if measured else "assumed, not measured"
    return (
        f"time: about {clock(seconds)} for {steps:,} steps, if they reach {mfu:.0%} ({source}) of "
        f"the {peak_flops / 1e9:,.0f} GFLOP/s of a matrix product measured now"
    )
