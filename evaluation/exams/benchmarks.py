"""The published examinations: where their files stand, what is in a row, how they are averaged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evaluation.exams.categories import CEVAL, CMMLU
from evaluation.exams.scores import Average

LETTERS = "ABCD"
MMLU_TAG = "mmlu_{}_tasks"
MMLU_CATEGORIES = ("stem", "humanities", "social_sciences", "other")


@dataclass(frozen=True)
class Question:
    """A question with four choices."""

    text: str
    choices: tuple[str, ...]
    answer: str
    """A, B, C or D"""


@dataclass(frozen=True)
class Benchmark:
    """An examination that lm-eval knows, and the form in which its project publishes it."""

    name: str
    title: str
    tasks: str
    """folder of lm-eval's task files, and the pattern of their names"""
    files: Mapping[str, str]
    """of each split, with {} for the subject"""
    questions: str
    """the split that is examined; the solved examples come from dev"""
    header: tuple[str, ...] | None
    """columns that must be there; None: there is no header, and these stand in the row alone"""
    document: Callable[[Question], dict[str, Any]]
    """a question in the form that lm-eval's template of the exam expects"""
    average: Average
    delimiter: str
    """between prompt and answer"""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of question, choices and answer, in the project's own spelling."""
        return self.header or ("question", *LETTERS, "answer")

    def subjects(self) -> dict[str, dict[str, Any]]:
        """lm-eval's task configuration of each subject."""
        return _task_configs(self.tasks)

    def categories(self) -> dict[str, frozenset[str]]:
        """Subjects of each category."""
        if self.name == "mmlu":
            tagged = {name: config["tag"] for name, config in self.subjects().items()}
            return {
                category.replace("_", " "): frozenset(
                    name for name, tag in tagged.items() if tag == MMLU_TAG.format(category)
                )
                for category in MMLU_CATEGORIES
            }
        return CMMLU if self.name == "cmmlu" else CEVAL


def _named(question: str, answer: str) -> Callable[[Question], dict[str, Any]]:
    def document(q: Question) -> dict[str, Any]:
        return {question: q.text, **dict(zip(LETTERS, q.choices)), answer: q.answer}

    return document


def _mmlu_document(q: Question) -> dict[str, Any]:
    return {"question": q.text, "choices": list(q.choices), "answer": LETTERS.index(q.answer)}


# The projects' own scripts put the letter right behind a Chinese prompt, as here; lm-eval's tasks
# put a space between them.
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "cmmlu", "CMMLU", "cmmlu/cmmlu_", {"dev": "dev/{}.csv", "test": "test/{}.csv"},
            "test", ("Question", *LETTERS, "Answer"), _named("Question", "Answer"), "subjects", "",
        ),
        Benchmark(
            "ceval", "C-Eval", "ceval/ceval-valid_",
            {"dev": "dev/{}_dev.csv", "val": "val/{}_val.csv"},
            "val", ("question", *LETTERS, "answer"), _named("question", "answer"), "subjects", "",
        ),
        Benchmark(
            "mmlu", "MMLU", "mmlu/default/mmlu_",
            {"dev": "dev/{}_dev.csv", "test": "test/{}_test.csv"},
            "test", None, _mmlu_document, "questions", " ",
        ),
    )
}  # fmt: skip


@cache
def _task_configs(tasks: str) -> dict[str, dict[str, Any]]:
    """Configurations in lm-eval's folder, by subject; read as files, which is quicker by far."""
    import lm_eval.tasks

    folder, prefix = (Path(lm_eval.tasks.__file__).parent / tasks).parent, tasks.split("/")[-1]
    configs = {}
    for path in sorted(folder.glob(f"{prefix}*.yaml")):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        shared = yaml.safe_load((folder / config.pop("include")).read_text(encoding="utf-8"))
        configs[path.stem.removeprefix(prefix)] = {**shared, **config}
    return configs
