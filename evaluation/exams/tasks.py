"""Exams as tasks of lm-eval: its own prompts, our reading of the files and our rule for length."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from evaluation.exams.benchmarks import Benchmark, Question

Documents = Mapping[str, Sequence[dict[str, Any]]]


class FittingTask(ConfigurableTask):
    """A task that leaves out the last solved examples until a prompt fits the model's context.

    That is what MMLU's own script does (arXiv:2009.03300). A question that does not fit even alone
    is kept, and loses its beginning when it is scored.
    """

    def __init__(
        self,
        config: dict[str, Any],
        fits: Callable[[str], bool],
        documents: Documents | None = None,
    ):
        """`documents` of each split; None: lm-eval fetches the data set."""
        self.fits, self.documents = fits, documents
        self.dropped_shots = self.cut_prompts = 0
        self.heads: dict[int, str] = {}
        super().__init__(config=config)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs) -> None:
        """Take the documents that are given, or fetch them."""
        if self.documents is None:
            super().download(dataset_kwargs, **kwargs)
        else:
            splits = self.documents.items()
            self.dataset = {split: datasets.Dataset.from_list(list(d)) for split, d in splits}

    def build_all_requests(self, **kwargs) -> None:
        """Build the prompts without a progress bar for each subject."""
        with contextlib.redirect_stderr(io.StringIO()):
            super().build_all_requests(**kwargs)

    def fewshot_context(self, doc: dict, num_fewshot: int, **kwargs) -> str:
        """Description, as many solved examples as fit, and the question."""
        description = self.config.description or ""
        alone = super().fewshot_context(doc, 0, **kwargs)
        question = alone.removeprefix(description)
        shots = num_fewshot
        while shots and not self.fits(prompt := self._head(doc, shots, question) + question):
            shots -= 1
        self.dropped_shots += num_fewshot - shots
        self.cut_prompts += not (shots or self.fits(alone))
        return prompt if shots else alone

    def _head(self, doc: dict, shots: int, question: str) -> str:
        """What stands before every question: rendered once, since lm-eval is slow at it."""
        if shots not in self.heads:
            prompt = super().fewshot_context(doc, shots)
            self.heads[shots] = prompt.removesuffix(question)
        return self.heads[shots]


def subject_task(
    benchmark: Benchmark,
    subject: str,
    shots: int,
    fits: Callable[[str], bool],
    splits: Mapping[str, Sequence[Question]] | None,
) -> FittingTask:
    """The task of one subject, from given questions or, with None, from the hub."""
    config = {**benchmark.subjects()[subject], "num_fewshot": shots}
    config["target_delimiter"] = benchmark.delimiter
    documents = None
    if splits is not None:
        documents = {
            split: [benchmark.document(question) for question in questions]
            for split, questions in splits.items()
        }
    return FittingTask(config, fits, documents)
