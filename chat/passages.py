"""Passages that were looked up, as part of a dialogue: the same in training and in serving."""

from collections.abc import Sequence

from chat.messages import SYSTEM, USER, Message

HEADING = "资料："


def question_of(messages: Sequence[Message]) -> str:
    """What to look up: the last thing that the user said; empty: nothing was."""
    return next((m.content for m in reversed(messages) if m.role == USER), "")


def first_question_of(messages: Sequence[Message]) -> str:
    """What to look up for a dialogue that is learned as a whole: its first question."""
    return next((m.content for m in messages if m.role == USER), "")


def with_passages(messages: Sequence[Message], passages: Sequence[str]) -> list[Message]:
    """The dialogue with passages at the end of its system message, numbered from 1."""
    if not passages:
        return list(messages)
    lines = [f"[{number}] {' '.join(text.split())}" for number, text in enumerate(passages, 1)]
    notes = "\n".join([HEADING, *lines])
    if messages and messages[0].role == SYSTEM:
        return [Message(SYSTEM, f"{messages[0].content}\n{notes}"), *messages[1:]]
    return [Message(SYSTEM, notes), *messages]
