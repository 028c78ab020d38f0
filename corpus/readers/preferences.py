"""Readers of preferences: a prompt, a chosen and a rejected answer. docs/chat.md lists the sets."""

import functools
from collections.abc import Callable
from typing import Any

from chat.messages import ASSISTANT, USER, DialogueError, Message
from corpus.config import SourceConfig
from corpus.example import Example
from corpus.input_file import InputFile
from corpus.readers.dialogues import (
    Found,
    examples_of,
    field_of,
    read_layout,
    records_of,
    spoken,
    transcript,
)
from corpus.readers.records import names_of
from corpus.registry import reader

FIELDS = ("prompt", "chosen", "rejected")


def pair(record: dict, prompt: str, chosen: str, rejected: str) -> Example:
    """A pair of the fields of these names; the prompt is text, a transcript, or messages.

    Raises:
        DialogueError: a field is missing, or the prompt is empty.
    """
    answers = [answer_of(field_of(record, name)) for name in (chosen, rejected)]
    return Example(_prompt_of(field_of(record, prompt, optional=True)), *answers)


def answer_of(value: Any) -> str:
    """The text of an answer, given as text, as one message, or as a list that ends in it.

    Raises:
        DialogueError: it is none of these, or not an answer.
    """
    if isinstance(value, str):
        return value
    (*_, answer) = spoken(value if isinstance(value, list) else [value]) or [None]
    if answer is None or answer.role != ASSISTANT:
        raise DialogueError("an answer is not from the assistant")
    return answer.content


def plain(record: dict) -> Example:
    """prompt, chosen, rejected: rlhf-reward-single-round-trans_chinese, zhihu_rlhf_3k."""
    return pair(record, *FIELDS)


def cvalues(record: dict) -> Example:
    """CValues-Comparison (arXiv:2307.09705): a better and a worse response."""
    return pair(record, "prompt", "pos_resp", "neg_resp")


def conversation(record: dict) -> Example:
    """llamafactory's dpo_zh: a conversation, and two messages that may follow."""
    return pair(record, "conversations", "chosen", "rejected")


def whole(record: dict) -> Example:
    """The form of hh-rlhf (arXiv:2204.05862): two whole dialogues that differ in their last answer.

    Each is a transcript or a list of messages.

    Raises:
        DialogueError: the two do not begin alike.
    """
    dialogues = []
    for name in ("chosen", "rejected"):
        value = field_of(record, name)
        dialogue = transcript(value) if isinstance(value, str) else spoken(value)
        if not dialogue or dialogue[-1].role != ASSISTANT:
            raise DialogueError(f"the dialogue {name} ends without an answer")
        dialogues.append(dialogue)
    (*prompt, chosen), (*other, rejected) = dialogues
    if prompt != other:
        raise DialogueError("chosen and rejected answer different prompts")
    return Example(prompt, chosen.content, rejected.content)


LAYOUTS: dict[str, Callable[[dict], Example]] = {
    "cvalues": cvalues,
    "dpo_zh": conversation,
    "hh": whole,
    "rlhf_zh": plain,
    "zhihu_rlhf": plain,
}


@reader("pairs", examples="pairs")
def read_pairs(file: InputFile, source: SourceConfig, val_fraction: float) -> Found:
    """Any records: the named fields, or prompt, chosen and rejected."""
    names = names_of(source.field)
    names = names if len(names) == len(FIELDS) else FIELDS
    return examples_of(records_of(file, source), lambda record: pair(record, *names))


def _prompt_of(value: Any) -> list[Message]:
    if isinstance(value, list):
        return spoken(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    messages = transcript(value)
    if messages and messages[-1].role == ASSISTANT:
        return [Message(USER, value)]  # its own text speaks of an assistant
    return messages


for _name, _make in LAYOUTS.items():
    reader(_name, examples="pairs")(functools.partial(read_layout, _make))
