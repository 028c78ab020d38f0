"""Take an exam: its tasks, lm-eval over all of them, and the scores."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lm_eval.evaluator import evaluate

from common.errors import UserError
from evaluation.exams.benchmarks import BENCHMARKS, Benchmark
from evaluation.exams.folder import choose_subjects, read_questions
from evaluation.exams.scores import ExamResult, Score, average_score, subject_score
from evaluation.exams.tasks import FittingTask, subject_task
from evaluation.lm_eval_model import LlamaLM

HOW = {
    "subjects": "the mean over the subjects; its 95 % interval is that of a stratified sample",
    "questions": "the mean over all questions; its 95 % interval is Wilson's",
}


def take_benchmark(
    name: str,
    model: LlamaLM,
    shots: int = 5,
    folder: Path | None = None,
    subjects: Sequence[str] | None = None,
) -> ExamResult:
    """Examine a model in CMMLU, C-Eval or MMLU.

    Args:
        name: cmmlu, ceval or mmlu.
        model: what is examined.
        shots: solved examples before each question.
        folder: the project's files; None: the data set is fetched from the Hugging Face hub.
        subjects: None: all.

    Raises:
        UserError: a subject or a file is missing or broken, there are fewer solved examples than
            shots, or the hub cannot be reached.
    """
    benchmark, begin = BENCHMARKS[name], time.perf_counter()
    chosen = choose_subjects(benchmark, subjects)
    splits = read_questions(benchmark, folder, chosen) if folder else {}
    tasks = {}
    for subject in chosen:
        available = len(splits[subject]["dev"]) if folder else shots
        if available < shots:
            raise UserError(
                f"{benchmark.title}, {subject}: {shots} shots asked for, but its dev file holds "
                f"{available} solved examples; ask for fewer with --shots"
            )
        with _hub_errors(benchmark):
            tasks[subject] = subject_task(
                benchmark, subject, shots, model.fits, splits.get(subject)
            )
    scores = run_tasks(tasks, model, "acc")
    groups = {
        name: [s for s in scores if s.name in g] for name, g in benchmark.categories().items()
    }
    return ExamResult(
        name=benchmark.title,
        shots=shots,
        average=average_score("average", scores, benchmark.average),
        how=HOW[benchmark.average],
        categories=[average_score(c, g, benchmark.average) for c, g in groups.items() if g],
        subjects=scores,
        dropped_shots=sum(task.dropped_shots for task in tasks.values()),
        cut_prompts=sum(task.cut_prompts for task in tasks.values()),
        note="" if subjects is None else f"{len(chosen)} of {len(benchmark.subjects())} subjects",
        seconds=time.perf_counter() - begin,
    )


def run_tasks(tasks: dict[str, FittingTask], model: LlamaLM, metric: str) -> list[Score]:
    """Score of each task in `metric`."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    named = {task.config.task: task for task in tasks.values()}
    results = evaluate(lm=model, task_dict=named, bootstrap_iters=0, log_samples=False)
    scores = []
    for subject, task in tasks.items():
        n = len(task.eval_docs)
        accuracy = results["results"][task.config.task][f"{metric},none"]
        scores.append(subject_score(subject, round(accuracy * n), n))
    return scores


@contextlib.contextmanager
def _hub_errors(benchmark: Benchmark) -> Iterator[None]:
    """A hub that cannot be reached, or has no such data set, in a sentence."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot fetch {benchmark.title} from the Hugging Face hub "
            f"({' '.join(str(error).split())[:160]}); copy the project's files into a folder and "
            "name it with --exam_data"
        ) from error
