"""Two or more runs side by side: one table, one plot, exams and samples."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import UserError
from corpus.manifest import Manifest
from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.document import Document
from evaluation.exams.scores import CHANCE
from evaluation.history import Curve, History, bits_per_nat, read_history
from evaluation.perplexity import format_bits
from evaluation.plots import plot_comparison
from evaluation.report import write_document
from evaluation.report_results import shorten
from evaluation.results import Results
from model.adapters import training_flops
from runs.run import Run

FOLDER, FIGURE = "comparisons", "loss.png"
NONE = "—"
OTHER_VOCABULARIES = (
    "The runs have different vocabularies, so their losses a token do not compare; bits per byte "
    "stand in their place."
)
OTHER_TEXTS = (
    "The runs were measured on different held-out texts, so small differences mean nothing."
)


@dataclass(frozen=True)
class Entry:
    """What a comparison needs of a run."""

    name: str
    run: Run
    vocabulary: str
    history: History
    manifest: Manifest | None
    """of the training file"""
    results: Results | None

    @classmethod
    def open(cls, path: Path) -> "Entry":
        """Read a run directory.

        Raises:
            UserError: it holds no run, or a run that was not trained yet.
        """
        run = Run.open(path)
        if run.newest_checkpoint() is None:
            raise UserError(f"{path} has no checkpoint yet; run pretrain.py")
        data = Path(run.recipe.data.dir) / TRAIN_NAME
        manifest = TokenFile.open(data).manifest if data.is_file() else None
        return cls(
            path.name,
            run,
            run.tokenizer().fingerprint,
            read_history(run),
            manifest,
            Results.load(path),
        )

    @property
    def tokens(self) -> int:
        """Trained on, repetitions included."""
        return self.run.newest_checkpoint().step * self.run.recipe.train.tokens_per_step

    def curves(self, by_byte: bool) -> tuple[Curve, Curve]:
        """Training and held-out curve, in nats a token or in bits a byte.

        Raises:
            UserError: bits a byte are asked for, and no manifest or record has them.
        """
        if not by_byte:
            return self.history.training, self.history.held_out
        if not self.manifest and not self.history.held_out_bits.losses:
            raise UserError(
                f"{self.run.path} has another vocabulary than the run beside it, and neither a "
                "manifest nor its records give its bits per byte: the two cannot be compared"
            )
        training = Curve()
        if self.manifest:
            training = self.history.training.scaled(bits_per_nat(self.manifest))
        return training, self.history.held_out_bits


def compare(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Write a report on several runs beside them; returns the paths of its files.

    Raises:
        UserError: there are fewer than two runs, or one of them cannot be read.
    """
    if len(set(paths)) < 2:
        raise UserError("--compare needs at least two run directories, such as out/a out/b")
    entries = [Entry.open(path) for path in dict.fromkeys(paths)]
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        entries = [replace(entry, name=str(entry.run.path)) for entry in entries]
        names = [entry.name for entry in entries]
    by_byte = len({entry.vocabulary for entry in entries}) > 1
    folder = paths[0].parent / FOLDER / "-".join(name.replace("/", "_") for name in names)
    unit = "bits per byte" if by_byte else "loss (nats per token)"
    curves = {entry.name: entry.curves(by_byte) for entry in entries}
    plot_comparison(folder / FIGURE, curves, unit)
    document = _document(entries, by_byte)
    return (*write_document(document, folder), folder / FIGURE)


def _document(entries: Sequence[Entry], by_byte: bool) -> Document:
    document = Document("Comparison of " + ", ".join(entry.name for entry in entries))
    if by_byte:
        document.paragraph(OTHER_VOCABULARIES)
    texts = {e.results.held_out.text_bytes for e in entries if e.results and e.results.held_out}
    if len(texts) > 1:
        document.paragraph(OTHER_TEXTS)
    columns = ("", *(entry.name for entry in entries))
    document.table(columns, _rows(entries, by_byte))
    lacking = [entry.name for entry in entries if entry.results is None]
    if lacking:
        document.paragraph(
            f"Not evaluated yet: {', '.join(lacking)}; run python eval_pretrain.py --run on each."
        )
    document.figure(FIGURE, "losses against tokens, time and floating-point operations")
    _samples(document, entries)
    return document


def _rows(entries: Sequence[Entry], by_byte: bool) -> list[tuple[str, ...]]:
    rows = [
        _row("parameters", entries, lambda e: f"{e.run.recipe.model.n_params():,}"),
        _row("shape", entries, _shape),
        _row("vocabulary", entries, lambda e: f"{e.run.recipe.model.vocab_size:,}"),
        _row("tokens trained on", entries, lambda e: f"{e.tokens:,}"),
        _row("floating-point operations", entries, _flops),
        _row("minutes of training steps", entries, lambda e: f"{e.history.seconds / 60:,.1f}"),
        _row("tokens/s", entries, lambda e: f"{e.history.tokens_per_s:,.0f}"),
        _row("held-out bits per byte", entries, _held_out(format_bits)),
    ]
    if not by_byte:
        rows += [
            _row("held-out loss", entries, _held_out(lambda loss: f"{loss.loss:.4f}")),
            _row("held-out perplexity", entries, _held_out(lambda loss: f"{loss.perplexity:.2f}")),
        ]
    exams = {(exam.name, exam.shots) for e in entries if e.results for exam in e.results.exams}
    for name, shots in sorted(exams):
        label = f"{name}, {shots} shots (chance {CHANCE:.0%})"
        rows.append(_row(label, entries, _exam(name, shots)))
    return rows


def _row(label: str, entries: Sequence[Entry], value: Callable[[Entry], str]) -> tuple[str, ...]:
    return (label, *(value(entry) for entry in entries))


def _shape(entry: Entry) -> str:
    model = entry.run.recipe.model
    return f"width {model.dim}, {model.n_layers} layers, context {model.max_seq_len}"


def _flops(entry: Entry) -> str:
    recipe = entry.run.recipe
    return f"{entry.tokens * training_flops(recipe.model, recipe.adapter):.2e}"


def _held_out(value: Callable) -> Callable[[Entry], str]:
    def show(entry: Entry) -> str:
        loss = entry.results and entry.results.held_out
        return value(loss) if loss else NONE

    return show


def _exam(name: str, shots: int) -> Callable[[Entry], str]:
    def show(entry: Entry) -> str:
        exams = entry.results.exams if entry.results else []
        return next((str(e.average) for e in exams if (e.name, e.shots) == (name, shots)), NONE)

    return show


def _samples(document: Document, entries: Sequence[Entry]) -> None:
    """What each run wrote first after each prompt."""
    written: list[dict[str, str]] = []
    for entry in entries:
        results = entry.results
        texts = [*results.continuations, *results.samples] if results else []
        first: dict[str, str] = {}
        for text in texts:
            first.setdefault(text.prompt, text.text)
        written.append(first)
    prompts = list(dict.fromkeys(itertools.chain.from_iterable(written)))
    if prompts:
        document.heading("What they write")
        rows = [(shorten(p), *(first.get(p, NONE) for first in written)) for p in prompts]
        document.table(("prompt", *(entry.name for entry in entries)), rows)
