"""The messages of a dialogue, and what makes a dialogue one that a model can learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import UserError

SYSTEM, USER, ASSISTANT, TOOL = ROLES = ("system", "user", "assistant", "tool")


class DialogueError(UserError):
    """A dialogue that cannot be used. Readers skip its record with this sentence."""


@dataclass(frozen=True)
class Message:
    """What one side says; the white space around it is taken away."""

    role: str
    """system, user, assistant, or tool (what a tool answered, kept as text)"""
    content: str

    def __post_init__(self):
        """Reject what is no message.

        Raises:
            DialogueError: the role is unknown, or the content is not text or empty.
        """
        if self.role not in ROLES:
            raise DialogueError(f"unknown role {self.role!r}; the roles are {', '.join(ROLES)}")
        if not isinstance(self.content, str):
            raise DialogueError(f"the content of the {self.role} message is not text")
        object.__setattr__(self, "content", self.content.strip())
        if not self.content:
            what = "answer" if self.role == ASSISTANT else f"{self.role} message"
            raise DialogueError(f"empty {what}")

    def to_json(self) -> dict[str, str]:
        """The message in the form of the OpenAI interface."""
        return {"role": self.role, "content": self.content}


def parse_messages(values: Any) -> list[Message]:
    """Messages from a list of objects with the keys role and content.

    Raises:
        DialogueError: it is something else.
    """
    if not isinstance(values, list | tuple) or not all(isinstance(v, dict) for v in values):
        raise DialogueError("messages must be a list of objects with the keys role and content")
    for value in values:
        if missing := [key for key in ("role", "content") if key not in value]:
            raise DialogueError(f"a message without {' and '.join(missing)}")
    return [Message(value["role"], value["content"]) for value in values]


def check_prompt(messages: Sequence[Message]) -> None:
    """Make sure that a model can answer: the last message is not an answer, none stands first.

    Raises:
        DialogueError: says which of these it is.
    """
    _check_order(messages)
    if messages[-1].role == ASSISTANT:
        raise DialogueError("the prompt ends with an answer; a question must come last")


def check_dialogue(messages: Sequence[Message]) -> None:
    """Make sure that a model can learn from a dialogue: it ends with an answer to something.

    Raises:
        DialogueError: says what is wrong.
    """
    _check_order(messages)
    if messages[-1].role != ASSISTANT:
        raise DialogueError("the dialogue ends without an answer")


def _check_order(messages: Sequence[Message]) -> None:
    if not messages:
        raise DialogueError("there is no message")
    spoken = [message.role for message in messages if message.role != SYSTEM]
    if not spoken:
        raise DialogueError("there is nothing but a system message")
    if spoken[0] == ASSISTANT:
        raise DialogueError("the dialogue begins with the assistant")
    if (ASSISTANT, ASSISTANT) in zip(spoken, spoken[1:]):
        raise DialogueError("two answers follow each other")
