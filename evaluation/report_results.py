"""The sections of a report that show what was measured."""

import itertools
from collections.abc import Mapping, Sequence

from evaluation.config import EvalConfig
from evaluation.document import Document
from evaluation.exams.scores import CHANCE, ExamResult, Score
from evaluation.perplexity import TextLoss, format_bits, format_loss
from evaluation.results import Results
from evaluation.suite import Sample, mean
from generation.writer import Continuation

SHOWN_CHARS = 60


def add_losses(document: Document, results: Results) -> None:
    """Losses by source and on other texts, if there are any."""
    losses = [*results.sources, *results.texts]
    if not losses:
        return
    document.heading("How well it predicts each text")
    columns = ("text", "bits per byte", "nats per token", "tokens", "documents or rows")
    document.table(columns, [_loss_row(loss) for loss in losses])
    document.paragraph(
        f"Windows of the context length, {results.stride:,} new tokens in each; every token is "
        "predicted once. After ± stands the standard error over documents, or over rows of the "
        "context length where the text is a single document."
    )


def add_exams(document: Document, exams: Sequence[ExamResult]) -> None:
    """Scores with chance level and interval."""
    if not exams:
        return
    document.heading("Exams")
    document.table(
        ("exam", "shots", "questions", "score (95 % interval)", "chance", "beside chance"),
        [
            (
                exam.name,
                str(exam.shots),
                f"{exam.average.questions:,}",
                str(exam.average),
                f"{CHANCE:.0%}",
                verdict(exam.average),
            )
            for exam in exams
        ],
    )
    document.bullets(f"{exam.name}, {exam.shots} shots: {explain(exam)}." for exam in exams)
    for exam in exams:
        if exam.subjects:
            document.heading(f"{exam.name} by subject, {exam.shots} shots", 3)
            rows = [*exam.categories, *exam.subjects]
            document.table(
                ("category or subject", "questions", "score (95 % interval)"),
                [(score.name, f"{score.questions:,}", str(score)) for score in rows],
            )


def verdict(score: Score) -> str:
    """Whether a score differs clearly from chance."""
    if score.at_chance:
        return "no clear difference"
    return "above" if score.accuracy > CHANCE else "below"


def explain(exam: ExamResult) -> str:
    """How a score came about, in a line."""
    parts = [exam.how, exam.note]
    if exam.dropped_shots:
        parts.append(f"{exam.dropped_shots:,} solved examples did not fit and were left out")
    if exam.cut_prompts:
        parts.append(
            f"{exam.cut_prompts:,} questions did not fit even alone and lost their beginning"
        )
    return "; ".join(part for part in parts if part)


def add_continuations(
    document: Document, config: EvalConfig, continuations: Sequence[Continuation]
) -> None:
    """The recipe's prompts, continued."""
    if not continuations:
        return
    document.heading("What it writes")
    document.paragraph(
        f"Temperature {config.temperature:g}, top-k {config.top_k}, top-p {config.top_p:g}, "
        f"repetition penalty {config.repetition_penalty:g}, seed {config.seed}; verbatim, "
        "the first attempt of each."
    )
    for continuation in continuations:
        document.paragraph(
            f"After “{continuation.prompt}” ({continuation.tokens} tokens, stopped by "
            f"{continuation.stopped_by.strip('<>')}):"
        )
        document.verbatim(continuation.text)


def add_samples(document: Document, samples: Sequence[Sample]) -> None:
    """The continuation suite."""
    if not samples:
        return
    document.heading("What it repeats and copies")
    document.paragraph(
        "Prompts that others use too. Distinct-n is the share of the n-grams of characters that "
        "are different. Copied is the longest span that also stands in the training file, found "
        "by a search of the whole file; spans of fewer than 4 tokens are not counted."
    )
    rows = []
    for prompt, group in itertools.groupby(samples, key=lambda sample: sample.prompt):
        group = list(group)
        copied = max(group, key=lambda sample: sample.copied_tokens)
        repeated = max((sample.repeated for sample in group), key=len)
        rows.append(
            (
                prompt,
                str(len(group)),
                f"{mean(s.distinct_1 for s in group):.2f}",
                f"{mean(s.distinct_2 for s in group):.2f}",
                f"{len(repeated)}: {shorten(repeated)}",
                f"{copied.copied_tokens}: {shorten(copied.copied)}",
            )
        )
    columns = ("prompt", "samples", "distinct-1", "distinct-2")
    document.table((*columns, "longest repeated, characters", "longest copied, tokens"), rows)
    for prompt, group in itertools.groupby(samples, key=lambda sample: sample.prompt):
        document.paragraph(f"After “{prompt}”:")
        for sample in group:
            document.verbatim(sample.text)


def add_left_out(document: Document, left_out: Mapping[str, str]) -> None:
    """Prompts that could not be continued, and why."""
    if left_out:
        document.heading("What was left out")
        document.bullets(f"“{prompt}”: {reason}." for prompt, reason in left_out.items())


def shorten(text: str) -> str:
    """One line of a text."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _loss_row(loss: TextLoss) -> tuple[str, ...]:
    return (
        loss.name,
        format_bits(loss),
        format_loss(loss),
        f"{loss.tokens:,}",
        f"{loss.pieces:,}",
    )
