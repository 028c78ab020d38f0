"""Readers of dialogues to learn from. docs/chat.md says where each published set is from.

A layout is a function from a record to a list of messages; the kind of the file, JSON lines, a JSON
list or a table, is known by its name.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chat.messages import (
    ASSISTANT,
    SYSTEM,
    TOOL,
    USER,
    DialogueError,
    Message,
    parse_messages,
)
from corpus.config import SourceConfig
from corpus.example import Example
from corpus.input_file import InputFile
from corpus.readers.json_text import json_entries, json_lines
from corpus.readers.records import LAYOUT_ERRORS, names_of
from corpus.readers.tables import csv_records, parquet_rows
from corpus.registry import reader
from corpus.unpack import UNPACKERS

Found = Iterator[Example | DialogueError]
# What the speakers are called in published sets.
SPEAKERS = {
    "human": USER,
    "gpt": ASSISTANT,
    "chatgpt": ASSISTANT,
    "bard": ASSISTANT,
    "bing": ASSISTANT,
    "function_call": ASSISTANT,
    "observation": TOOL,
    "function": TOOL,
    **{role: role for role in (SYSTEM, USER, ASSISTANT, TOOL)},
}
TRANSCRIPT = re.compile(r"(?:^|\n)\s*(Human|Assistant)\s*[:：]", re.IGNORECASE)


def records_of(file: InputFile, source: SourceConfig) -> Iterator[Any]:
    """The records of a file, read by the ending of its name, without .gz and its like."""
    suffixes = [suffix for suffix in file.path.suffixes if suffix not in UNPACKERS]
    ending = suffixes[-1].lower() if suffixes else ""
    if ending == ".parquet":
        yield from parquet_rows(file, [])
    elif ending in (".csv", ".tsv"):
        delimiter = "," if ending == ".csv" else "\t"
        yield from csv_records(file, source.encoding, delimiter, [])
    elif ending == ".jsonl":
        yield from json_lines(file, source.encoding)
    else:
        yield from json_entries(file, source.encoding)


def examples_of(records: Iterable[Any], make: Callable[[dict], Example]) -> Found:
    """What `make` makes of each record, or the reason why it cannot."""
    for record in records:
        try:
            if not isinstance(record, dict):
                raise DialogueError("the record is not an object with named fields")
            yield make(record)
        except DialogueError as error:
            yield error
        except (*LAYOUT_ERRORS, ValueError) as error:
            yield DialogueError(f"not in the layout of this corpus ({error!r})")


def field_of(record: dict, *names: str, optional: bool = False) -> Any:
    """The value of the first of some fields that the record has; None for a missing optional one.

    Raises:
        DialogueError: it has none of them; the sentence names its fields.
    """
    for name in names:
        if record.get(name) is not None:
            return record[name]
    if optional:
        return None
    known = ", ".join(map(str, record))
    raise DialogueError(f"no field {' or '.join(names)} among {known}; name the reader's fields")


def instruction(record: dict) -> Example:
    """An instruction, its input if there is one, and its answer; earlier rounds before it."""
    messages = []
    if system := field_of(record, "system", optional=True):
        messages.append(Message(SYSTEM, system))
    for question, answer in field_of(record, "history", optional=True) or []:
        messages += [Message(USER, question), Message(ASSISTANT, answer)]
    parts = [field_of(record, "instruction"), field_of(record, "input", optional=True)]
    asked = "\n".join(part for part in parts if part)
    return Example(
        [*messages, Message(USER, asked), Message(ASSISTANT, field_of(record, "output"))]
    )


def spoken(values: Any) -> list[Message]:
    """Messages from a list of {from, value}, or of {role, content}.

    Raises:
        DialogueError: it is no such list, or a speaker is unknown.
    """
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DialogueError("a conversation must be a list of objects with the keys from and value")
    if values and "role" in values[0]:
        return parse_messages(values)
    messages = []
    for value in values:
        speaker = field_of(value, "from")
        if speaker not in SPEAKERS:
            raise DialogueError(f"unknown role {speaker!r}; known are {', '.join(SPEAKERS)}")
        messages.append(Message(SPEAKERS[speaker], field_of(value, "value")))
    return messages


def transcript(text: Any) -> list[Message]:
    """Messages from a text in which Human: and Assistant: name the speakers; without: a question.

    An answer that is still to come, as at the end of a prompt, is left out.

    Raises:
        DialogueError: it is no text, or a message in the middle is empty.
    """
    if not isinstance(text, str):
        raise DialogueError("the dialogue is not text")
    first, *rest = TRANSCRIPT.split(text)
    parts = [(SPEAKERS[name.lower()], said) for name, said in zip(rest[::2], rest[1::2])]
    if first.strip():
        parts.insert(0, (USER, first))
    if parts and parts[-1][0] == ASSISTANT and not parts[-1][1].strip():
        parts.pop()
    return [Message(role, said) for role, said in parts]


def belle_rounds(record: dict) -> Example:
    """BELLE's multi-turn form: the rounds so far in one text, and the next answer."""
    said = "\n".join(filter(None, (record.get(name) for name in ("instruction", "input"))))
    if not said:
        field_of(record, "instruction")
    return Example([*transcript(said), Message(ASSISTANT, field_of(record, "output"))])


def firefly(record: dict) -> Example:
    """Firefly: kind, input and target."""
    question = Message(USER, field_of(record, "input"))
    return Example([question, Message(ASSISTANT, field_of(record, "target"))])


def belle(record: dict) -> Example:
    """BELLE: instruction, input and output (0.5M, 1M, 2M), or a conversation (3.5M)."""
    return sharegpt(record) if "conversations" in record else instruction(record)


def messages(record: dict) -> Example:
    """The messages of OpenAI's interface: role and content each."""
    return Example(spoken(field_of(record, "messages")))


def sharegpt(record: dict) -> Example:
    """ShareGPT: a conversation of from and value."""
    conversation = spoken(field_of(record, "conversations"))
    system = field_of(record, "system", optional=True)
    return Example([*([Message(SYSTEM, system)] if system else []), *conversation])


LAYOUTS: dict[str, Callable[[dict], Example]] = {
    "alpaca": instruction,
    "belle": belle,
    "belle_multiturn": belle_rounds,
    "firefly": firefly,
    "longalign": messages,
    "longalpaca": instruction,
    "messages": messages,
    "python_codes": instruction,
    "sharegpt": sharegpt,
    "tigerbot_sft": instruction,
}


@reader("instructions", examples="sft")
def read_instructions(file: InputFile, source: SourceConfig, val_fraction: float) -> Found:
    """Any records: the last of the named fields is the answer, the others are the question.

    Without names they are prompt and response.
    """
    names = names_of(source.field)
    *asked, answer = names if len(names) > 1 else ("prompt", "response")

    def make(record: dict) -> Example:
        parts = [field_of(record, asked[0])]
        parts += [field_of(record, name, optional=True) for name in asked[1:]]
        question = "\n".join(str(part) for part in parts if part)
        return Example([Message(USER, question), Message(ASSISTANT, field_of(record, answer))])

    return examples_of(records_of(file, source), make)


@reader("tasks", examples="task")
def read_tasks(file: InputFile, source: SourceConfig, val_fraction: float) -> Found:
    """Any records: the named field, or prompt, is the question, all others are the answer key."""
    name = "prompt" if source.field == SourceConfig.field else names_of(source.field)[0]

    def make(record: dict) -> Example:
        asked = field_of(record, name)
        prompt = spoken(asked) if isinstance(asked, list) else [Message(USER, asked)]
        return Example(prompt, key={key: value for key, value in record.items() if key != name})

    return examples_of(records_of(file, source), make)


def read_layout(
    make: Callable[[dict], Example], file: InputFile, source: SourceConfig, val_fraction: float
) -> Found:
    """The examples of a file whose records have a known layout."""
    return examples_of(records_of(file, source), make)


for _name, _make in LAYOUTS.items():
    reader(_name, examples="sft")(functools.partial(read_layout, _make))
