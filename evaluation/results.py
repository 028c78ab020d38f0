"""What was measured of a run, kept as evaluation.json in its directory."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import read_json, write_json
from evaluation.best_of import BestOf, read_best_of
from evaluation.exams.scores import ExamResult, Score
from evaluation.held_out_tasks import TaskScore
from evaluation.perplexity import TextLoss
from evaluation.preferences import Calibration, PairScore
from evaluation.suite import Sample
from generation.writer import Continuation
from runs.run import Run

RESULTS = "evaluation.json"


@dataclass
class Results:
    """All measurements of one checkpoint; what was not measured is empty."""

    step: int
    """of the checkpoint"""
    vocabulary: str
    """fingerprint of the tokenizer"""
    weights: str = "float32"
    """how they were kept: float32 or int8"""
    stride: int = 0
    """new ids in each window of the losses"""
    held_out: TextLoss | None = None
    sources: list[TextLoss] = field(default_factory=list)
    texts: list[TextLoss] = field(default_factory=list)
    exams: list[ExamResult] = field(default_factory=list)
    continuations: list[Continuation] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """prompts that the context has no room for, each with the reason"""
    scores: list[TaskScore] = field(default_factory=list)
    """of answers to held-out tasks"""
    preferences: list[PairScore] = field(default_factory=list)
    """between the answers of held-out pairs, by source"""
    calibration: list[Calibration] = field(default_factory=list)
    """of a reward model on them"""
    best_of: list[BestOf] = field(default_factory=list)
    """by reward and number of answers"""

    @classmethod
    def load(cls, run_dir: Path, weights: str = "float32") -> "Results | None":
        """What stands in a run directory for a form of the weights, if anything does.

        Raises:
            UserError: the file is damaged, or another version of this program wrote it.
        """
        path = _file(run_dir, weights)
        if not path.is_file():
            return None
        values = read_json(path)
        try:
            return cls(
                **{
                    **values,
                    "held_out": values["held_out"] and TextLoss(**values["held_out"]),
                    "sources": [TextLoss(**loss) for loss in values["sources"]],
                    "texts": [TextLoss(**loss) for loss in values["texts"]],
                    "exams": [_exam(exam) for exam in values["exams"]],
                    "continuations": [Continuation(**c) for c in values["continuations"]],
                    "samples": [Sample(**sample) for sample in values["samples"]],
                    "scores": [TaskScore(**score) for score in values.get("scores", [])],
                    "preferences": [PairScore(**p) for p in values.get("preferences", [])],
                    "calibration": [Calibration(**c) for c in values.get("calibration", [])],
                    "best_of": [read_best_of(found) for found in values.get("best_of", [])],
                }
            )
        except (TypeError, KeyError) as error:
            raise UserError(
                f"{path} is not what this program writes ({error}); delete it and evaluate again"
            ) from error

    @classmethod
    def of(cls, run: Run) -> "Results":
        """What was measured of the checkpoint and weights that a run's `eval` names, or nothing.

        Raises:
            UserError: as `load`.
        """
        step, weights = run.chosen_checkpoint.step, run.recipe.eval.weights
        vocabulary, known = run.tokenizer().fingerprint, cls.load(run.path, weights)
        if known and (known.step, known.vocabulary) == (step, vocabulary):
            return known
        return cls(step, vocabulary, weights)

    def save(self, run_dir: Path) -> None:
        """Write the file."""
        write_json(_file(run_dir, self.weights), dataclasses.asdict(self))

    def add_exam(self, result: ExamResult) -> None:
        """Keep a result in place of an older one of the same exam and shots."""
        key = (result.name, result.shots)
        self.exams = [e for e in self.exams if (e.name, e.shots) != key] + [result]

    def add_best_of(self, result: BestOf) -> None:
        """Keep a result in place of an older one of the same reward and number of answers."""
        key = (result.reward, result.n)
        self.best_of = [b for b in self.best_of if (b.reward, b.n) != key] + [result]

    def add_text(self, result: TextLoss) -> None:
        """Keep a loss in place of an older one of the same name."""
        self.texts = [text for text in self.texts if text.name != result.name] + [result]


def _file(run_dir: Path, weights: str) -> Path:
    return run_dir / (RESULTS if weights == "float32" else f"evaluation-{weights}.json")


def _exam(values: dict[str, Any]) -> ExamResult:
    scores = {key: [Score(**s) for s in values[key]] for key in ("categories", "subjects")}
    return ExamResult(**{**values, **scores, "average": Score(**values["average"])})
