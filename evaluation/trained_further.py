"""Measure a run that was trained further: its answers, and what it forgot of its base's text."""

from pathlib import Path

import numpy as np
from mindspore import Tensor

from chat.template import ChatTemplate
from common.tables import format_table
from corpus.base_model import base_folder
from corpus.example_file import ExampleFile
from corpus.packed_rows import PackedRows
from corpus.token_file import VAL_NAME
from evaluation.best_of import add_best_of
from evaluation.document import Document
from evaluation.held_out_tasks import score_rows, score_tasks
from evaluation.perplexity import HELD_OUT, Pieces, TextLoss, describe, measure
from evaluation.preferences import calibration_rows, measure_pairs, pair_rows
from evaluation.report import write_document
from evaluation.report_results import add_losses
from evaluation.results import Results
from evaluation.scoring import Scorer, TokenScores
from model.llama import Llama
from runs.run import RECIPE, Run
from training.feeds.examples import DialogueRows


def evaluate_trained_further(run: Run, network: Llama) -> tuple[Path, ...]:
    """Print what is measured of a run, and keep it as evaluation.json, report.md, report.html.

    Raises:
        UserError: the example files of dialogues or pairs do not fit the run.
    """
    config, tokenizer = run.recipe.eval, run.tokenizer()
    results = Results(run.chosen_checkpoint.step, tokenizer.fingerprint, config.weights)
    results.stride = config.stride or run.recipe.model.max_seq_len
    if run.recipe.data.kind == "sft":
        results.sources = measure_answers(run, network)
    if run.recipe.data.kind == "pairs":
        results.preferences, results.calibration = measure_pairs(run, network)
        if results.preferences:
            print(format_table(pair_rows(results.preferences)), flush=True)
    answers = run.recipe.objective.kind != "reward"
    base = base_run(run)
    source = pretrained_run(run) if answers else None
    if source and (Path(source.recipe.data.dir) / VAL_NAME).is_file():
        for name, model in ((run.recipe.name, network), (source.recipe.name, source.load_model())):
            scorer = Scorer(model, tokenizer.eos_id, config.batch)
            loss, _ = measure(scorer, tokenizer, source.recipe.data.dir, results.stride)
            title = f"{HELD_OUT} of pretraining, by {name}"
            results.add_text(TextLoss(**{**vars(loss), "name": title}))
    for loss in (*results.sources, *results.texts):
        print(describe(loss), flush=True)
    results.save(run.path)  # before answers are written, which takes long and may fail
    results.scores = score_tasks(run, base) if answers else []
    if results.scores:
        print(format_table(score_rows(results.scores)), flush=True)
    results.best_of = Results.of(run).best_of
    results.save(run.path)
    return write_document(document_of(run, results), run.path)


def base_run(run: Run) -> Run | None:
    """The run whose weights training began from; None: they came from elsewhere, or are gone."""
    path = Path(run.recipe.train.init_from or "")
    if run.recipe.train.init_from is None or not path.exists():
        return None
    folder = base_folder(path)
    return Run.open(folder) if (folder / RECIPE).is_file() else None


def pretrained_run(run: Run) -> Run | None:
    """The run that pretrained the weights, however often they were trained further since."""
    base = base_run(run)
    while base and base.recipe.objective.kind != "pretrain":
        base = base_run(base)
    return base


def measure_answers(run: Run, network: Llama) -> list[TextLoss]:
    """Loss on the answers of the held-out dialogues, a source at a time, and its standard error.

    Dialogues, not tokens, are counted as independent.

    Raises:
        UserError: the example files are missing, damaged, or were made for another run.
    """
    recipe, tokenizer = run.recipe, run.tokenizer()
    file = ExampleFile.open(recipe.data.dir, "val")
    file.check(tokenizer, ChatTemplate.load(run.path, tokenizer))
    scores, losses = TokenScores(network), []
    for number, source in enumerate(file.manifest.sources):
        packed = PackedRows(
            file, recipe.model.max_seq_len, tokenizer.eos_id, recipe.train.seed, source=number
        )
        rows = DialogueRows(packed)
        if len(rows):
            pieces = by_dialogue(scores, rows, recipe.eval.batch)
            losses.append(pieces.loss(f"answers of {source.name}", text_bytes=0.0))
    return losses


def by_dialogue(scores: TokenScores, rows: DialogueRows, batch: int) -> Pieces:
    """Nats and ids of the answers of each dialogue, `batch` rows read at once."""
    nats, counts = [], []
    for begin in range(0, len(rows), batch):
        read = [rows.row(index) for index in range(begin, min(begin + batch, len(rows)))]
        filled = read + [rows.padding()] * (batch - len(read))
        tokens, targets, _, segments = (Tensor(np.stack(column)) for column in zip(*filled))
        log_probs = scores(tokens, segments, targets)[0].asnumpy()
        for (_, _, weight, numbers), found in zip(read, log_probs):
            count = np.bincount(numbers, weight)
            nats.append(-np.bincount(numbers, weight * found)[count > 0])
            counts.append(count[count > 0])
    return Pieces(np.concatenate(nats), np.concatenate(counts))


def document_of(run: Run, results: Results) -> Document:
    """The report of a run that was trained further."""
    document = Document(f"{run.recipe.name}: {run.recipe.train.init_from}, trained further")
    document.paragraph(
        f"Objective {run.recipe.objective.kind}, {results.step:,} steps of "
        f"{run.recipe.train.tokens_per_step:,} tokens, on {run.recipe.data.dir}."
    )
    add_losses(document, results)
    _add_preferences(document, results)
    if results.scores:
        document.heading("How its answers to held-out tasks score")
        head, *rows = score_rows(results.scores)
        document.table(head, rows)
        document.paragraph(
            "Greedy answers; in brackets the 95 % interval (Wilson). A model that knows no "
            "dialogues continues three solved tasks and the task, and its line is the answer."
        )
    add_best_of(document, results.best_of)
    return document


def _add_preferences(document: Document, results: Results) -> None:
    if results.preferences:
        document.heading("Which of two held-out answers it prefers")
        head, *rows = pair_rows(results.preferences)
        document.table(head, rows)
        document.paragraph(
            "Right: the chosen answer has the higher reward; in brackets the 95 % interval "
            "(Wilson)."
        )
    if results.calibration:
        document.heading("How sure it is, and how often it is right then", 3)
        head, *rows = calibration_rows(results.calibration)
        document.table(head, rows)
        document.paragraph(
            "The stated probability is sigmoid(|margin|), that of the preferred answer being the "
            "better one by the model of Bradley and Terry."
        )
