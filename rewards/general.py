"""Rewards that fit every task."""

from rewards.answer import Answer
from rewards.registry import reward


@reward("ended")
def ended(answer: Answer) -> float:
    """1 where the model ended an answer; 0 where the limit of ids cut it, or it says nothing."""
    return float(answer.ended and bool(answer.completion.strip()))


@reward("nonempty")
def nonempty(answer: Answer) -> float:
    """1 where something was said."""
    return float(bool(answer.completion.strip()))
