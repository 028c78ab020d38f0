"""What the ids of a vocabulary spell, in bytes, so that vocabularies of two kinds can be matched.

SentencePiece writes the space as U+2581 and a single byte as <0x0A>; byte-level BPE (GPT-2's)
writes every byte as a printable character.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from common.errors import UserError
from common.files import read_json
from interop.gguf.file import GGUFFile
from interop.pieces import SPACE
from tokenizer.tokenizer import MODEL_NAME, Tokenizer

Spelling = dict[int, bytes]


def spelling(tokenizer: Tokenizer) -> Spelling:
    """The bytes of each id that stands for text, and the name of each that does not."""
    return _of_model(tokenizer.model_file)


def hf_spelling(folder: Path) -> Spelling | None:
    """The same for a Hugging Face folder; None if it names no vocabulary.

    Raises:
        UserError: its tokenizer.json or tokenizer.model is damaged.
    """
    for name, read in (("tokenizer.json", _of_json), (MODEL_NAME, _of_model)):
        if (folder / name).is_file():
            try:
                return read(folder / name)
            except (DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
                raise UserError(f"{folder / name} is damaged; fetch it again") from error
    return None


def gguf_spelling(path: Path) -> Spelling | None:
    """The same for a GGUF file; None if it has no vocabulary.

    Raises:
        UserError: the file is damaged.
    """
    fields = GGUFFile(path).fields
    byte_level = fields.get("tokenizer.ggml.model") == "gpt2"
    pieces = fields.get("tokenizer.ggml.tokens")
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        return None
    return {i: _bytes(piece, byte_level) for i, piece in enumerate(pieces)}


def shared_ids(ours: Spelling, theirs: Spelling) -> dict[int, int]:
    """Each of our ids that spells what one of theirs spells -> the last such id.

    Where a byte has a piece of its own beside that of its character, the character's comes later.
    """
    last = {text: i for i, text in sorted(theirs.items())}
    return {i: last[text] for i, text in ours.items() if text in last}


def _of_json(path: Path) -> Spelling:
    """From the file of the `tokenizers` library."""
    values = read_json(path)
    byte_level = "ByteLevel" in str((values.get("pre_tokenizer"), values.get("decoder")))
    pieces = values["model"]["vocab"]
    if isinstance(pieces, list):  # unigram: pairs of a piece and its score
        pieces = {piece: i for i, (piece, _) in enumerate(pieces)}
    spelt = {int(i): _bytes(piece, byte_level) for piece, i in pieces.items()}
    added = {int(token["id"]): token["content"].encode() for token in values["added_tokens"]}
    return spelt | added


def _of_model(path: Path) -> Spelling:
    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    return dict(enumerate(_bytes(piece.piece, False) for piece in model.pieces))


def _bytes(piece: str, byte_level: bool) -> bytes:
    if byte_level:
        table = _byte_of_character()
        return b"".join(table.get(c, c.encode()) for c in piece)
    byte = re.fullmatch("<0x([0-9A-F]{2})>", piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace(SPACE, " ").encode()


@functools.cache
def _byte_of_character() -> dict[str, bytes]:
    """GPT-2's table: printable bytes are their own character, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others: Iterable[int] = (b for b in range(0x100) if b not in printable)
    table = {chr(b): bytes([b]) for b in printable}
    return table | {chr(0x100 + n): bytes([b]) for n, b in enumerate(others)}
