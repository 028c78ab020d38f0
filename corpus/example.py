"""One example of post-training: a prompt and its answers, or a prompt with an answer key."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chat.messages import (
    ASSISTANT,
    SYSTEM,
    DialogueError,
    Message,
    check_dialogue,
    check_prompt,
    parse_messages,
)


@dataclass(frozen=True)
class Example:
    """A dialogue to learn from, a pair of answers to a prompt, or a prompt alone."""

    messages: list[Message]
    """the whole dialogue, its last message an answer; or the prompt of a pair or a task"""
    chosen: str | None = None
    """pairs: the better answer"""
    rejected: str | None = None
    """pairs: the worse one"""
    key: dict[str, Any] = field(default_factory=dict)
    """task: what a reward needs to check an answer"""
    held_out: bool | None = None
    """whether it belongs to validation; None: decided by a hash of the prompt"""

    def check(self, kind: str) -> None:
        """Make sure that a model can learn from it as an example of a kind: sft, pairs or task.

        Raises:
            DialogueError: says what is wrong.
        """
        if kind == "sft":
            check_dialogue(self.messages)
        elif kind == "task":
            check_prompt(self.messages)
        else:
            if not self.messages:
                raise DialogueError("a pair without a prompt")
            check_prompt(self.messages)
            chosen, rejected = self.answers()
            if chosen == rejected:
                raise DialogueError("chosen equals rejected")

    def answers(self) -> list[Message]:
        """The two answers of a pair.

        Raises:
            DialogueError: one is empty or no text.
        """
        return [Message(ASSISTANT, answer) for answer in (self.chosen, self.rejected)]

    def dialogues(self) -> list[list[Message]]:
        """The sequences that the example consists of: one, or the chosen and the rejected one."""
        if self.chosen is None:
            return [self.messages]
        return [[*self.messages, answer] for answer in self.answers()]

    @property
    def prompt(self) -> str:
        """What decides the split: all that is said before the first answer."""
        lines = []
        for message in self.messages:
            if message.role == ASSISTANT:
                break
            lines.append("" if message.role == SYSTEM else message.content)
        return "\n".join(lines)

    @property
    def text(self) -> str:
        """All that is said, by which examples are compared with each other."""
        said = [message.content for message in self.messages]
        return "\n".join([*said, *(text for text in (self.chosen, self.rejected) if text)])

    def map(self, change: Callable[[str], str | None]) -> "Example | None":
        """The example with each of its texts changed; None where one of them is dropped."""
        texts = [change(message.content) for message in self.messages]
        answers = [text and change(text) for text in (self.chosen, self.rejected)]
        dropped = self.chosen is not None and not all(answers)
        if dropped or not all(text and text.strip() for text in texts):
            return None
        messages = [replace(m, content=text) for m, text in zip(self.messages, texts)]
        return replace(self, messages=messages, chosen=answers[0], rejected=answers[1])

    def to_text(self) -> str:
        """The example as one line of JSON, as it goes from stage to stage."""
        values = {"messages": [message.to_json() for message in self.messages]}
        others = ("chosen", "rejected", "key", "held_out")
        values |= {name: getattr(self, name) for name in others}
        return json.dumps(values, ensure_ascii=False, default=str)

    @classmethod
    def from_text(cls, text: str) -> "Example":
        """The example of such a line."""
        values = json.loads(text)
        return cls(parse_messages(values.pop("messages")), **values)
