"""How a dialogue is written down: which pieces or words stand around each message."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from chat.messages import SYSTEM, TOOL, USER

Choice = Literal["auto", "roles", "human_assistant", "question_answer"]


@dataclass(frozen=True)
class Style:
    """The text around messages. Pieces in it that the vocabulary reserves stand for their ids.

    An answer is written as `answer[0]`, with which a prompt ends, then `answer[1]`, the content,
    and `answer[2]`. The id that follows the content ends the answer, be it from `answer[2]`, from
    the next message or from `finish`, which is written after an answer that is the last message.
    """

    name: str
    system: tuple[str, str]
    """before and after the content of a system message"""
    user: tuple[str, str]
    tool: tuple[str, str]
    answer: tuple[str, str, str]
    finish: str
    ends: tuple[str, ...]
    """the pieces that end an answer"""

    def around(self, role: str) -> tuple[str, str]:
        """What stands before and after the content of a message that is no answer."""
        return {SYSTEM: self.system, USER: self.user, TOOL: self.tool}[role]

    def to_json(self) -> dict[str, Any]:
        """The style as a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Style":
        """The style of a JSON object.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def roles_style(eos: str) -> Style:
    """The pieces that vocabularies trained here reserve; `eos` also ends an answer."""
    end = "<|end|>"
    return Style(
        name="roles",
        system=("<|system|>", end),
        user=("<|user|>", end),
        tool=("<|user|>Tool: ", end),
        answer=("<|assistant|>", "", end),
        finish="",
        ends=(end, eos),
    )


def chatglm3_style(eos: str) -> Style:
    """ChatGLM3's: a role's id and a line break before each message, the next role's id after it.

    The space stands for the one that its vocabulary puts before a text (arXiv:2406.12793).
    """
    return Style(
        name="chatglm3",
        system=("<|system|>\n ", ""),
        user=("<|user|>\n ", ""),
        tool=("<|observation|>\n ", ""),
        answer=("<|assistant|>", "\n ", ""),
        finish=eos,
        ends=(eos, "<|user|>", "<|observation|>"),
    )


def human_assistant_style(eos: str) -> Style:
    """Plain text, for a vocabulary without role pieces."""
    return Style(
        name="human_assistant",
        system=("System: ", "\n\n"),
        user=("Human: ", "\n\n"),
        tool=("Tool: ", "\n\n"),
        answer=("Assistant:", " ", eos),
        finish="",
        ends=(eos,),
    )


def question_answer_style(eos: str) -> Style:
    """Plain text in few Chinese characters: a third of the ids that English words take."""
    return Style(
        name="question_answer",
        system=("", "\n"),
        user=("问：", "\n"),
        tool=("工具：", "\n"),
        answer=("答：\n", "", eos),
        finish="",
        ends=(eos,),
    )


STYLES = {
    "roles": roles_style,
    "chatglm3": chatglm3_style,
    "human_assistant": human_assistant_style,
    "question_answer": question_answer_style,
}
