"""A small Chinese exam that anyone can make: which of four explanations fits an idiom."""

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.config import DataConfig
from corpus.token_file import VAL_NAME, TokenFile
from evaluation.exams.idiom_table import (
    COLON,
    held_out_words,
    learns_idioms,
    read_table,
    table_path,
)
from evaluation.exams.scores import CHOICES, ExamResult
from evaluation.exams.take import run_tasks
from evaluation.exams.tasks import FittingTask
from evaluation.lm_eval_model import LlamaLM

SEED, MAX_QUESTIONS, MIN_QUESTIONS = 1337, 200, 20
NAME = "idioms"
METRIC = "acc_mutual_info"
HOW = (
    "the share of idioms whose own explanation gains most in probability by following “idiom：” "
    "(lm-eval's acc_mutual_info, arXiv:2104.08315); its 95 % interval is Wilson's"
)


def take_idioms(model: LlamaLM, data: DataConfig) -> ExamResult | None:
    """Examine a model; None where too few idioms were held out of its training.

    Raises:
        UserError: the table cannot be fetched, or the held-out file is missing.
    """
    begin = time.perf_counter()
    table = read_table(table_path(data))
    note = "the idioms' table is not among the model's sources"
    if learns_idioms(data):
        unseen = held_out_words(TokenFile.open(Path(data.dir) / VAL_NAME), model.tokenizer)
        table = {word: text for word, text in table.items() if word in unseen}
        note = "only idioms whose entry was held out of training, also as wrong choices"
    if len(table) < MIN_QUESTIONS:
        return None
    (score,) = run_tasks({NAME: _task(make_questions(table), model)}, model, METRIC)
    return ExamResult(NAME, 0, score, HOW, note=note, seconds=time.perf_counter() - begin)


def make_questions(table: Mapping[str, str]) -> list[dict[str, Any]]:
    """Questions with a fixed seed; wrong choices are explanations of other idioms of the table."""
    rng = random.Random(SEED)
    words = sorted(table)
    questions = []
    for word in rng.sample(words, min(len(words), MAX_QUESTIONS)):
        others = {table[other] for other in words} - {table[word]}
        choices = [table[word], *rng.sample(sorted(others), CHOICES - 1)]
        rng.shuffle(choices)
        questions.append({"word": word, "choices": choices, "answer": choices.index(table[word])})
    return questions


def _task(questions: list[dict[str, Any]], model: LlamaLM) -> FittingTask:
    config = {
        "task": NAME,
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{word}}" + COLON,
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "num_fewshot": 0,
        "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
    }
    return FittingTask(config, model.fits, {"test": questions})
