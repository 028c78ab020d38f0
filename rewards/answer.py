"""An answer that is scored, and files of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import PathLike, atomic_open


@dataclass(frozen=True)
class Answer:
    """What a model answered to a prompt."""

    prompt: str
    """the last message before the answer"""
    completion: str
    key: dict[str, Any] = field(default_factory=dict)
    """what the task says about right answers"""
    ended: bool = True
    """whether the model ended it; false where it was cut by the limit of ids"""


def read_answers(path: PathLike) -> list[Answer]:
    """The answers in a file, an object of JSON with prompt and completion a line.

    Raises:
        UserError: the file cannot be read, holds none, or a line is none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read answers {path}: {reason}") from error
    found = [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line]
    if not found:
        raise UserError(f"{path} holds no answer; it must hold one line of JSON for each answer")
    return found


def write_answers(answers: Sequence[Answer] | Iterable[Answer], path: PathLike) -> None:
    """Write answers as a file that `read_answers` reads, atomically."""
    with atomic_open(path, "w") as file:
        for answer in answers:
            file.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")


def _parse(line: str, place: str) -> Answer:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise UserError(f"{place} is no object with the keys prompt and completion")
    fields = {"prompt": str, "completion": str, "key": dict, "ended": bool}
    known = {name: values[name] for name in fields if name in values}
    for name in ("prompt", "completion"):
        if name not in known:
            raise UserError(f"{place} has no {name}; an answer needs prompt and completion")
    for name, value in known.items():
        if not isinstance(value, fields[name]):
            raise UserError(f"{place}: {name} must be of type {fields[name].__name__}")
    return Answer(**known)
