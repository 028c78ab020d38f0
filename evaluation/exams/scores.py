"""Scores of an exam with their 95 % intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from common.intervals import Z, wilson

CHOICES = 4
CHANCE = 1 / CHOICES
Average = Literal["subjects", "questions"]


@dataclass(frozen=True)
class Score:
    """The share of questions answered correctly, of a subject, a category or a whole exam."""

    name: str
    questions: int
    accuracy: float
    low: float
    """lower end of the 95 % interval"""
    high: float

    @property
    def at_chance(self) -> bool:
        """Whether the interval holds the score of blind guessing."""
        return self.low <= CHANCE <= self.high

    def __str__(self) -> str:
        """E.g. 27.1 % (24.0 to 30.4)."""
        return f"{self.accuracy:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True)
class ExamResult:
    """What a model reached in an exam."""

    name: str
    shots: int
    """solved examples before each question"""
    average: Score
    how: str
    """what is averaged, and what the interval is"""
    categories: list[Score] = field(default_factory=list)
    subjects: list[Score] = field(default_factory=list)
    dropped_shots: int = 0
    """examples left out because a prompt did not fit the context"""
    cut_prompts: int = 0
    """questions that lost their beginning because even alone they did not fit"""
    note: str = ""
    seconds: float = 0.0


def subject_score(name: str, correct: int, questions: int) -> Score:
    """Score of independent questions, with Wilson's interval."""
    return Score(name, questions, correct / questions, *wilson(correct, questions))


def average_score(name: str, subjects: Sequence[Score], average: Average) -> Score:
    """Mean over subjects, or over all their questions.

    The mean over subjects has the interval of a stratified sample: the subjects are fixed and
    their questions are drawn, so the variance is the mean of theirs over the number of subjects.
    """
    questions = sum(subject.questions for subject in subjects)
    if average == "questions":
        correct = round(sum(subject.accuracy * subject.questions for subject in subjects))
        return subject_score(name, correct, questions)
    count = len(subjects)
    mean = sum(subject.accuracy for subject in subjects) / count
    variance = sum(s.accuracy * (1 - s.accuracy) / max(1, s.questions - 1) for s in subjects)
    half = Z * math.sqrt(variance) / count
    return Score(name, questions, mean, max(0.0, mean - half), min(1.0, mean + half))
