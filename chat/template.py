"""Messages to ids and a loss mask, as one style writes them: the chat template of a run."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chat.jinja import jinja_template
from chat.messages import ASSISTANT, Message, check_dialogue, check_prompt
from chat.styles import STYLES, Choice, Style
from common.errors import UserError
from common.files import PathLike, read_json, write_json
from tokenizer.tokenizer import Tokenizer

TEMPLATE_NAME = "chat_template.json"
FORMAT_VERSION = 1
TEXT, ANSWER, CONTENT = 0, 1, 2
"""What an id belongs to: to the template, to an answer or its end, to another message's content."""


@dataclass(frozen=True)
class Part:
    """A piece of a written dialogue: text, or one reserved id where `text` names its piece."""

    text: str
    kind: int = TEXT
    reserved: bool = False


class ChatTemplate:
    """Writes messages as ids with a vocabulary. What stands in a message is text, never a role.

    A reserved piece that someone types into a message is parted by a space, here and in the Jinja
    templates, whose engines would otherwise take it for the piece.
    """

    def __init__(self, tokenizer: Tokenizer, style: Style):
        """Prepare a style for a vocabulary; `for_tokenizer` and `load` find the style.

        Raises:
            UserError: the style needs a piece that the vocabulary does not reserve.
        """
        self.tokenizer, self.style = tokenizer, style
        self.reserved = tokenizer.special_ids
        # ChatGLM's sop and eop are parts of words, which no program takes for a piece.
        self._typed = [piece for piece in self.reserved if not piece.isalnum()]
        self._cut = re.compile("|".join(f"({re.escape(piece)})" for piece in self.reserved))
        texts = (*style.system, *style.user, *style.tool, *style.answer, style.finish, *style.ends)
        for piece in re.findall(r"<\|\w+\|>", "".join(texts)):
            if piece not in self.reserved:
                raise UserError(
                    f"{tokenizer.model_file} reserves no piece {piece}, which the chat template "
                    f"{style.name} needs; set data.template to auto"
                )
        self.end_ids: list[int] = [self.reserved[piece] for piece in style.ends]
        """ids that end an answer"""
        known = json.dumps([style.to_json(), tokenizer.fingerprint, FORMAT_VERSION])
        self.fingerprint = hashlib.sha256(known.encode()).hexdigest()

    @classmethod
    def for_tokenizer(cls, tokenizer: Tokenizer, choice: Choice = "auto") -> "ChatTemplate":
        """The template of a vocabulary: role pieces where it reserves them, else plain text.

        Raises:
            UserError: the style that is asked for needs pieces that the vocabulary lacks.
        """
        if choice == "auto":
            choice = "human_assistant"
            for name, piece in (("chatglm3", "<|observation|>"), ("roles", "<|end|>")):
                if {piece, "<|user|>", "<|assistant|>"} <= tokenizer.special_ids.keys():
                    choice = name
        return cls(tokenizer, STYLES[choice](tokenizer.piece(tokenizer.eos_id)))

    @classmethod
    def load(cls, folder: PathLike, tokenizer: Tokenizer) -> "ChatTemplate":
        """The template that was saved in a run directory.

        Raises:
            UserError: there is none, it is damaged, or it was made for another vocabulary.
        """
        path = Path(folder) / TEMPLATE_NAME
        if not path.is_file():
            raise UserError(
                f"{folder} has no chat template ({TEMPLATE_NAME}), so its model was not trained on "
                "dialogues; train one with post_train.py"
            )
        values = read_json(path)
        if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
            raise UserError(f"{path} is not a chat template of version {FORMAT_VERSION}")
        if values.get("tokenizer") != tokenizer.fingerprint:
            raise UserError(f"{path} was made for another tokenizer than {tokenizer.model_file}")
        try:
            return cls(tokenizer, Style.from_json(values["style"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}); copy it again") from error

    def save(self, folder: PathLike) -> Path:
        """Write chat_template.json into a run directory and return its path."""
        path = Path(folder) / TEMPLATE_NAME
        values = {"format_version": FORMAT_VERSION, "tokenizer": self.tokenizer.fingerprint}
        write_json(path, values | {"style": self.style.to_json()})
        return path

    def render(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """The ids of a dialogue and their loss mask: 1 on the answers and the ends of them.

        Raises:
            UserError: the dialogue ends without an answer, or begins with one.
        """
        ids, kinds = self.render_kinds(messages)
        return ids, [int(kind == ANSWER) for kind in kinds]

    def render_kinds(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """As `render`, with the kind of each id: TEXT, ANSWER, or CONTENT of another message.

        Raises:
            UserError: the dialogue ends without an answer, or begins with one.
        """
        check_dialogue(messages)
        return self._encode(self._parts(messages))

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a dialogue up to where the assistant's answer begins.

        Raises:
            UserError: the dialogue ends or begins with an answer.
        """
        return self.prompt_kinds(messages)[0]

    def prompt_kinds(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """As `prompt_ids`, with the kind of each id.

        Raises:
            UserError: the dialogue ends or begins with an answer.
        """
        check_prompt(messages)
        opening = self._template_parts(self.style.answer[0])
        return self._encode(itertools.chain(self._parts(messages), opening))

    def answer_text(self, ids: Sequence[int]) -> str:
        """The text of an answer that was generated, up to the first id that ends one."""
        ended = next((i for i, found in enumerate(ids) if found in self.end_ids), len(ids))
        return self.tokenizer.decode(ids[:ended]).strip()

    def jinja(self, generation: bool = True) -> str:
        """The template for Hugging Face; without `generation` blocks for the GGUF format."""
        return jinja_template(self.style, self._typed, generation)

    def _parts(self, messages: Sequence[Message]) -> Iterator[Part]:
        style = self.style
        for message in messages:
            content = part_pieces(message.content, self._typed)
            if message.role == ASSISTANT:
                opening, lead, end = style.answer
                yield from self._template_parts(opening)
                yield Part(lead + content, ANSWER)
                yield from self._template_parts(end)
            else:
                before, after = style.around(message.role)
                yield from self._template_parts(before)
                yield Part(content, CONTENT)
                yield from self._template_parts(after)
        if messages[-1].role == ASSISTANT:
            yield from self._template_parts(style.finish)

    def _template_parts(self, text: str) -> Iterator[Part]:
        """The style's own text, cut where it names a reserved piece."""
        for found in filter(None, self._cut.split(text)):
            yield Part(found, TEXT, found in self.reserved)

    def _encode(self, parts: Iterator[Part]) -> tuple[list[int], list[int]]:
        """Ids and kinds. The text between two reserved pieces is encoded as one."""
        ids, kinds, ended = [], [], False
        for reserved, group in itertools.groupby(parts, lambda part: part.reserved):
            if reserved:
                for part in group:
                    # The id that follows an answer ends it.
                    kinds.append(ANSWER if kinds and kinds[-1] == ANSWER and not ended else TEXT)
                    ids.append(self.reserved[part.text])
                    ended = True
            else:
                found_ids, found_kinds = self._encode_text(list(group))
                ids += found_ids
                kinds += found_kinds
                ended = False
        return ids, kinds

    def _encode_text(self, parts: list[Part]) -> tuple[list[int], list[int]]:
        """Ids and kinds of texts that stand together.

        A vocabulary may join the end of one part and the beginning of the next in one piece. An
        answer must begin at an id of its own: there the text is then encoded in two.
        """
        text = "".join(part.text for part in parts)
        ids = self.tokenizer.encode(text)
        kinds, end = [TEXT] * len(ids), 0
        for number, part in enumerate(parts):
            begin, end = end, end + len(part.text)
            if part.kind == TEXT:
                continue
            before = self.tokenizer.encode(text[:begin]) if begin else []
            through = self.tokenizer.encode(text[:end]) if end < len(text) else ids
            if part.kind == ANSWER and ids[: len(before)] != before:
                first = self._encode_text(parts[:number])
                rest = self._encode_text(parts[number:])
                return first[0] + rest[0], first[1] + rest[1]
            places = range(_common(ids, before), _common(ids, through))
            for place in places:
                kinds[place] = part.kind
        return ids, kinds


def find_template(folder: PathLike, tokenizer: Tokenizer) -> ChatTemplate | None:
    """The template of a run directory or an export; None of a base model, which has none.

    Raises:
        UserError: it is damaged, or it was made for another vocabulary.
    """
    if not (Path(folder) / TEMPLATE_NAME).is_file():
        return None
    return ChatTemplate.load(folder, tokenizer)


def part_pieces(text: str, pieces: Sequence[str]) -> str:
    """The text with a space inside each of the reserved pieces that someone typed into it."""
    for piece in pieces:
        text = text.replace(piece, f"{piece[0]} {piece[1:]}")
    return text


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences begin with alike."""
    pairs = enumerate(zip(first, second))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))
