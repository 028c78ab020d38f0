"""What a run will do, said before its first step."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from model.adapters import count_trained
from model.config import AdapterConfig, ModelConfig
from runs.device import explain_device
from training.hooks.metrics import clock
from training.memory import estimate_memory
from training.prepared import PreparedRun

ASSUMED_MFU = {"CPU": 0.6, "GPU": 0.35, "Ascend": 0.35}
"""Share of the matrix peak that a step of the plain kernels reaches: on two CPU cores 0.5 at 3 M
parameters and 0.9 at 60 M were measured, elsewhere it is a guess. What the log says of MFU is
measured."""
NATIVE_MFU = 0.75
"""Share that one of the native kernels reaches: on two cores of an AMD EPYC (Zen 5) 365 to 375
GFLOP/s were measured at 7 to 60 M parameters, where products alone have 460 to 530."""


def banner(prepared: PreparedRun) -> list[str]:
    """Lines that say what is trained, on what, how much of it, and what it will take."""
    model, config, world = prepared.model, prepared.config, prepared.world
    device = f"{prepared.target} ({explain_device(config.device, prepared.target)})"
    dtype = str(prepared.dtype).lower()
    ranks = f"{world.size} ranks" if world.size > 1 else "1 process"
    adapter, several = prepared.run.recipe.adapter, prepared.micro_batches > 1
    memory = estimate_memory(model, adapter, config, several, world, prepared.native)
    return [
        f"device {device}, {ranks}, products in {dtype}, all else in float32, {prepared.kernels}",
        f"model: dim {model.dim}, {model.n_layers} layers, {model.n_heads} heads, "
        f"{model.n_kv_heads} key-value heads, context {model.max_seq_len}, "
        f"vocabulary {model.vocab_size:,} padded to {model.padded_vocab_size:,}",
        parameters_line(model, adapter),
        f"data: {prepared.feed.description()}",
        f"run: {prepared.max_steps:,} steps of {prepared.tokens_per_step:,} tokens "
        f"({prepared.micro_batches} x {config.micro_batch} rows a rank), "
        f"{prepared.epochs:.2f} epochs, {prepared.flops:.2e} operations",
        f"memory: about {memory / 2**30:.1f} GiB a rank, the framework included "
        "(estimated from what CPU processes took)",
        time_line(prepared, prepared.run.metrics()),
    ]


def parameters_line(model: ModelConfig, adapter: AdapterConfig) -> str:
    """How many parameters there are, and where; with an adapter, how many of them are trained."""
    blocks, table = model.n_params(embedding=False), model.padded_vocab_size * model.dim
    head = "0, it shares the embedding" if model.tie_embeddings else f"{table:,}"
    line = (
        f"parameters: {model.n_params():,} = embedding {table:,} + blocks {blocks:,} + head {head}"
    )
    if adapter.kind == "none":
        return line
    whole, low = count_trained(model, adapter)
    return (
        f"{line}; trained: {whole + low:,} = low-rank {low:,} (rank {adapter.rank} beside "
        f"{', '.join(adapter.targets)}) + whole {whole:,}"
    )


def time_line(prepared: PreparedRun, past: Iterable[Mapping[str, Any]]) -> str:
    """How long the steps that remain will take; evaluations and checkpoints come on top.

    `past` are the run's records so far.
    """
    steps = prepared.max_steps - prepared.start_step
    measured = [record["mfu"] for record in past if record.get("mfu")]
    assumed = NATIVE_MFU if prepared.native else ASSUMED_MFU[prepared.target]
    mfu = statistics.median(measured) if measured else assumed
    flops = prepared.flops * steps / prepared.max_steps
    seconds = flops / (prepared.peak_flops * mfu)
    source = "as before in this run" if measured else "assumed, not measured"
    return (
        f"time: about {clock(seconds)} for {steps:,} steps, if they reach {mfu:.0%} ({source}) of "
        f"the {prepared.peak_flops / 1e9:,.0f} GFLOP/s of a matrix product measured now"
    )
