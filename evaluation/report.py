"""report.md: what was trained on what, how fast, how well, and what to expect of it."""

import os
import platform
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from common.files import atomic_open
from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.abilities import can, limits
from evaluation.continuation import Continuation
from evaluation.perplexity import format_bits
from evaluation.plots import plot_loss
from training.heldout import HeldOutResult
from training.run import METRICS, Run

REPORT, FIGURE = "report.md", "loss.png"
PACKAGES = ("mindspore", "mindformers", "numpy", "sentencepiece")


@dataclass(frozen=True)
class Training:
    """How far and how fast a run was trained, as its own records tell."""

    steps: int
    tokens: int
    epochs: float
    tokens_per_s: float
    """median of the log intervals"""
    seconds: float
    """in training steps, over all resumptions; without evaluation and saving"""
    where: str
    """device and compute type"""


def write_report(
    run: Run, held_out: HeldOutResult, continuations: Sequence[Continuation]
) -> tuple[Path, Path]:
    """Write report.md and loss.png into the run directory; returns their paths.

    Raises:
        UserError: the training file is missing, or the disk is full.
    """
    train_file = TokenFile.open(Path(run.recipe.data.dir) / TRAIN_NAME)
    training = read_training(run, train_file)
    sections = [
        *_headline(run, held_out),
        *_model(run),
        *_data(run, train_file),
        *_training(run, training),
        *_continuations(run, continuations),
        *_expectations(run, held_out, training, train_file),
        *_versions(),
    ]
    report, figure = run.path / REPORT, run.path / FIGURE
    plot_loss(figure, run.metrics(), run.recipe.train.tokens_per_step)
    with atomic_open(report, "w") as file:
        file.write("\n".join(sections) + "\n")
    return report, figure


def read_training(run: Run, train_file: TokenFile) -> Training:
    """Gather what the newest checkpoint and metrics.jsonl say."""
    config, checkpoint = run.recipe.train, run.newest_checkpoint()
    state = {"device": config.device, "compute_dtype": config.compute_dtype, **checkpoint.state()}
    tokens = checkpoint.step * config.tokens_per_step
    speeds, seconds, last = [], 0.0, 0
    for record in run.metrics():
        if record.get("tokens_per_s"):
            speeds.append(record["tokens_per_s"])
            seconds += (record["tokens"] - last) / speeds[-1]
            last = record["tokens"]
    return Training(
        steps=checkpoint.step,
        tokens=tokens,
        epochs=tokens / train_file.n_tokens,
        tokens_per_s=statistics.median(speeds) if speeds else 0.0,
        seconds=seconds,
        where=f"device {state['device']}, matrix products in {state['compute_dtype']}",
    )


def _headline(run: Run, held_out: HeldOutResult) -> list[str]:
    millions = run.recipe.model.n_params() / 1e6
    return [
        f"# {run.recipe.name}: a Llama2 of {millions:,.1f} M parameters",
        "",
        f"**Bits per byte of held-out text: {format_bits(held_out.bits_per_byte)}.** This number "
        "does not depend on the tokenizer, so it compares models with different vocabularies.",
        "",
        "| on held-out text | |",
        "|---|---|",
        f"| bits per byte | {format_bits(held_out.bits_per_byte)} |",
        f"| loss | {held_out.loss:.4f} nats a token |",
        f"| perplexity | {held_out.perplexity:.2f} (comparable only with the same tokenizer) |",
        f"| measured on | {held_out.tokens:,} tokens that the model was not trained on |",
        "",
    ]


def _model(run: Run) -> list[str]:
    model = run.recipe.model
    blocks, total = model.n_params(embedding=False), model.n_params()
    tables = "the output layer shares it" if model.tie_embeddings else "and an output layer"
    return [
        "## What was trained",
        "",
        f"- Parameters: {total:,} = blocks and norms {blocks:,} + embedding {total - blocks:,} "
        f"({tables}).",
        f"- Shape: width {model.dim}, {model.n_layers} layers, {model.n_heads} heads, "
        f"{model.n_kv_heads} key-value heads, feed-forward {model.hidden_dim}, "
        f"context {model.max_seq_len} tokens.",
        f"- Vocabulary: {model.vocab_size:,} ids of a {run.recipe.tokenizer.kind} tokenizer.",
        "",
    ]


def _data(run: Run, file: TokenFile) -> list[str]:
    lines = ["## On what", ""]
    if file.manifest is None:
        return [*lines, f"{file.path}: {file.n_tokens:,} tokens; it has no manifest.", ""]
    lines += ["| source | documents | characters | tokens |", "|---|--:|--:|--:|"]
    for counts in (*file.manifest.sources, file.manifest):
        name = "all" if counts is file.manifest else counts.name
        lines.append(
            f"| {name} | {counts.documents:,} | {counts.characters:,} | {counts.tokens:,} |"
        )
    return [*lines, "", f"Whole documents are {file.manifest.split}.", ""]


def _training(run: Run, training: Training) -> list[str]:
    config = run.recipe.train
    lowest = config.learning_rate * config.min_lr_ratio
    speed = "not recorded"
    if training.tokens_per_s:
        speed = (
            f"{training.tokens_per_s:,.0f} tokens/s (median), "
            f"{training.seconds / 60:,.1f} minutes of training steps"
        )
    return [
        "## How, and how fast",
        "",
        f"- {training.steps:,} of {config.max_steps:,} steps of {config.tokens_per_step:,} tokens: "
        f"{training.tokens:,} tokens, {training.epochs:.2f} epochs.",
        f"- AdamW, learning rate up to {config.learning_rate:g} in {config.warmup_steps:,} steps, "
        f"then a cosine down to {lowest:g}; seed {config.seed}.",
        f"- {training.where}.",
        f"- Speed: {speed}.",
        f"- Everything else is in {run.path / 'recipe.yaml'} and {run.path / METRICS}.",
        "",
        f"![training and held-out loss against tokens]({FIGURE})",
        "",
    ]


def _continuations(run: Run, continuations: Sequence[Continuation]) -> list[str]:
    config = run.recipe.eval
    lines = [
        "## What it writes",
        "",
        f"Temperature {config.temperature:g}, top-k {config.top_k}, top-p {config.top_p:g}, "
        f"repetition penalty {config.repetition_penalty:g}, seed {config.seed}; verbatim, "
        "the first attempt of each.",
        "",
    ]
    for continuation in continuations:
        lines += [
            f"After “{continuation.prompt}” ({continuation.tokens} tokens, stopped by "
            f"{continuation.stopped_by.strip('<>')}):",
            "",
            textwrap.indent(continuation.text, "    ", lambda line: True),
            "",
        ]
    return lines


def _expectations(
    run: Run, held_out: HeldOutResult, training: Training, file: TokenFile
) -> list[str]:
    model = run.recipe.model
    sentences = limits(model, training.tokens, training.epochs, file.manifest)
    return [
        "## What it can and cannot do",
        "",
        can(model, held_out),
        "",
        *(f"- {sentence}" for sentence in sentences),
        "",
    ]


def _versions() -> list[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        "## Evaluated with",
        "",
        f"Python {platform.python_version()}, {packages}; {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPU cores.",
    ]
