"""The report of a run: what was trained on what, how fast, how well, and what to expect of it."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from common.files import atomic_open
from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.abilities import can, limits
from evaluation.best_of import add_best_of
from evaluation.document import Document
from evaluation.history import History, read_history
from evaluation.perplexity import format_bits, format_loss
from evaluation.plots import plot_loss
from evaluation.report_results import (
    add_continuations,
    add_exams,
    add_left_out,
    add_losses,
    add_samples,
)
from evaluation.results import Results
from runs.run import METRICS, Run
from training.optimizers.registry import describe_optimizer
from training.schedule import describe_schedule

REPORT, PAGE, FIGURE = "report.md", "report.html", "loss.png"
PACKAGES = ("mindspore", "mindformers", "numpy", "sentencepiece", "lm-eval")


@dataclass(frozen=True)
class Training:
    """How far and how fast a run was trained, as its own records say."""

    steps: int
    tokens: int
    epochs: float
    history: History
    where: str
    """device and compute type"""


def write_report(run: Run, results: Results) -> tuple[Path, ...]:
    """Write report.md, report.html and loss.png into the run directory; returns their paths.

    Raises:
        UserError: the training file is missing, or the disk is full.
    """
    train_file = TokenFile.open(Path(run.recipe.data.dir) / TRAIN_NAME)
    training = read_training(run, train_file)
    millions = run.recipe.model.n_params() / 1e6
    document = Document(f"{run.recipe.name}: a Llama2 of {millions:,.1f} M parameters")
    _headline(document, run, results)
    _model(document, run)
    _data(document, train_file)
    _training(document, run, training)
    add_losses(document, results)
    add_exams(document, results.exams)
    add_continuations(document, run.recipe.eval, results.continuations)
    add_best_of(document, results.best_of)
    add_samples(document, results.samples)
    add_left_out(document, results.left_out)
    _expectations(document, run, results, training, train_file)
    _versions(document, results)
    plot_loss(run.path / FIGURE, training.history)
    return (*write_document(document, run.path), run.path / FIGURE)


def write_document(document: Document, folder: Path) -> tuple[Path, Path]:
    """Write a report in both forms, after its figures; returns their paths.

    Raises:
        UserError: the disk is full.
    """
    forms = {folder / REPORT: document.markdown(), folder / PAGE: document.html(folder)}
    for path, text in forms.items():
        with atomic_open(path, "w") as file:
            file.write(text)
    return tuple(forms)


def read_training(run: Run, train_file: TokenFile) -> Training:
    """Gather what the measured checkpoint and metrics.jsonl say."""
    config, checkpoint = run.recipe.train, run.chosen_checkpoint
    state = {"device": config.device, "compute_dtype": config.compute_dtype, **checkpoint.state()}
    tokens = checkpoint.step * config.tokens_per_step
    return Training(
        steps=checkpoint.step,
        tokens=tokens,
        epochs=tokens / train_file.n_tokens,
        history=read_history(run),
        where=f"device {state['device']}, matrix products in {state['compute_dtype']}",
    )


def _headline(document: Document, run: Run, results: Results) -> None:
    held_out = results.held_out
    if held_out is None:
        document.paragraph("Its loss on held-out text has not been measured yet.")
        return
    document.paragraph(
        f"**Bits per byte of held-out text: {format_bits(held_out)}, after {results.step:,} of "
        f"{run.recipe.train.max_steps:,} steps.** This number does not depend on the tokenizer, so "
        "it compares models with different vocabularies."
    )
    rows = [
        ("bits per byte", format_bits(held_out)),
        ("loss", f"{format_loss(held_out)} nats a token"),
        ("perplexity", f"{held_out.perplexity:.2f} (comparable only with the same tokenizer)"),
        ("measured on", f"{held_out.tokens:,} tokens that the model was not trained on"),
    ]
    document.table(("on held-out text", ""), rows)


def _model(document: Document, run: Run) -> None:
    model = run.recipe.model
    blocks, total = model.n_params(embedding=False), model.n_params()
    tables = "the output layer shares it" if model.tie_embeddings else "and an output layer"
    document.heading("What was trained")
    document.bullets(
        (
            f"Parameters: {total:,} = blocks and norms {blocks:,} + embedding {total - blocks:,} "
            f"({tables}).",
            f"Shape: width {model.dim}, {model.n_layers} layers, {model.n_heads} heads, "
            f"{model.n_kv_heads} key-value heads, feed-forward {model.hidden_dim}, "
            f"context {model.max_seq_len} tokens.",
            f"Vocabulary: {model.vocab_size:,} ids of a {run.recipe.tokenizer.kind} tokenizer.",
        )
    )


def _data(document: Document, file: TokenFile) -> None:
    document.heading("On what")
    if file.manifest is None:
        document.paragraph(f"{file.path}: {file.n_tokens:,} tokens; it has no manifest.")
        return
    rows = []
    for counts in (*file.manifest.sources, file.manifest):
        name = "all" if counts is file.manifest else counts.name
        numbers = (counts.documents, counts.characters, counts.tokens)
        rows.append((name, *(f"{number:,}" for number in numbers)))
    document.table(("source", "documents", "characters", "tokens"), rows)
    document.paragraph(f"Whole documents are {file.manifest.split}.")


def _training(document: Document, run: Run, training: Training) -> None:
    config, history = run.recipe.train, training.history
    speed = "not recorded"
    if history.tokens_per_s:
        speed = (
            f"{history.tokens_per_s:,.0f} tokens/s (median), "
            f"{history.seconds / 60:,.1f} minutes of training steps"
        )
    limit = ""
    if config.max_minutes is not None:
        limit = f"; so many fitted into {config.max_minutes:g} minutes, or were the most asked for"
    document.heading("How, and how fast")
    document.bullets(
        (
            f"{training.steps:,} of {config.max_steps:,} steps of {config.tokens_per_step:,} "
            f"tokens: {training.tokens:,} tokens, {training.epochs:.2f} epochs{limit}.",
            f"{describe_optimizer(config)}; {describe_schedule(config)}; seed {config.seed}.",
            f"{training.where}.",
            f"Speed: {speed}.",
            f"Everything else is in {run.path / 'recipe.yaml'} and {run.path / METRICS}.",
        )
    )
    document.figure(FIGURE, "training and held-out loss against tokens")


def _expectations(
    document: Document, run: Run, results: Results, training: Training, file: TokenFile
) -> None:
    model = run.recipe.model
    document.heading("What it can and cannot do")
    if results.held_out:
        document.paragraph(can(model, results.held_out))
    document.bullets(limits(model, training.tokens, training.epochs, file.manifest))


def _versions(document: Document, results: Results) -> None:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    document.heading("Evaluated with")
    document.paragraph(
        f"Weights as {results.weights}. Python {platform.python_version()}, {packages}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores."
    )
