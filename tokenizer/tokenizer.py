"""One tokenizer class, whatever vocabulary stands behind it."""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from common.errors import UserError
from common.files import atomic_open
from tokenizer.chatglm import chatglm_special_ids
from tokenizer.fetch import fetch_model, is_hub_name

MODEL_NAME = "tokenizer.model"
ROLE_PIECES = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
SPARE_PIECES = tuple(f"<|spare{number}|>" for number in range(8))
RESERVED_PIECES = (*ROLE_PIECES, *SPARE_PIECES)
"""Pieces of a vocabulary that no text is turned into, kept for dialogues and for later use."""


class Tokenizer:
    """Text to ids and back. Special ids are never added; the data step ends documents itself.

    `vocab_size` counts every id the vocabulary knows, ChatGLM's special ids included, and is
    the number of ids a token file may hold, `n_pieces` only those of the model file;
    `fingerprint` names kind and model file in one hash.
    """

    def __init__(self, kind: str, model_file: Path):
        """Load `model_file`; `load_tokenizer` is the way to get a complete tokenizer.

        Raises:
            UserError: the file is not a SentencePiece model, or it has no end-of-text id.
        """
        content = model_file.read_bytes()
        self.kind = kind
        self.model_file = model_file
        self.fingerprint = hashlib.sha256(f"{kind}\n".encode() + content).hexdigest()
        self._pieces = _load_pieces(model_file, content)
        self.n_pieces = self._pieces.get_piece_size()
        self.vocab_size: int = self.n_pieces
        self.eos_id: int = self._pieces.eos_id()
        self.unk_id: int = self._pieces.unk_id()
        if self.eos_id < 0:
            raise UserError(f"{model_file} has no end-of-text piece; train it with an eos_id")
        self.special_ids: dict[str, int] = {
            self._pieces.id_to_piece(i): i
            for i in range(self.n_pieces)
            if self._pieces.is_control(i) or self._pieces.is_unknown(i)
        }
        """ids that no text is turned into, by the names of their pieces"""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without special ids."""
        return self._pieces.encode(text)

    def encode_batch(self, texts: Sequence[str], threads: int = -1) -> list[list[int]]:
        """Ids of each text, on `threads` CPU cores; -1: on all."""
        return self._pieces.encode(list(texts), num_threads=threads)

    def encode_arrays(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each text as an int32 array (N,), on one core; faster than lists of ids."""
        # One by one: handed over together, short texts take a third longer.
        return [self._pieces.encode(text, return_type="numpy") for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; ids that stand for no text (special ids, padding rows) are dropped."""
        return self._pieces.decode([int(i) for i in ids if 0 <= i < self.n_pieces])

    @functools.cached_property
    def byte_ids(self) -> frozenset[int]:
        """Ids that stand for one byte of a character that has no piece."""
        return frozenset(i for i in range(self.n_pieces) if self._pieces.is_byte(i))

    def piece(self, index: int) -> str:
        """The name of the piece of an id of the model file."""
        return self._pieces.id_to_piece(index)

    def save(self, folder: str | Path) -> Path:
        """Copy the model file into `folder` as tokenizer.model and return the copy's path."""
        target = Path(folder) / MODEL_NAME
        content = self.model_file.read_bytes()
        with atomic_open(target) as file:
            file.write(content)
        return target


def load_tokenizer(kind: str, path: str | Path, cache: str | Path = "data") -> Tokenizer:
    """Load the `Tokenizer` of a kind (sentencepiece, chatglm2, chatglm3).

    `path` is a model file, a folder that holds tokenizer.model, or for ChatGLM the hub name of a
    model, whose file is then fetched into `cache`.

    Raises:
        UserError: nothing stands at `path`, or it is not a usable vocabulary.
    """
    if kind != "sentencepiece" and is_hub_name(path):
        model_file = fetch_model(str(path), Path(cache))
    else:
        model_file = Path(path)
        if model_file.is_dir():
            model_file = model_file / MODEL_NAME
    if not model_file.is_file():
        raise UserError(
            f"tokenizer file {model_file} does not exist; run python data_process.py, which trains "
            "one, or set tokenizer.path to a SentencePiece model"
        )
    tokenizer = Tokenizer(kind, model_file)
    if kind != "sentencepiece":
        appended = chatglm_special_ids(kind, model_file)
        tokenizer.special_ids |= appended
        tokenizer.vocab_size += len(appended)
    return tokenizer


def _load_pieces(model_file: Path, content: bytes) -> sentencepiece.SentencePieceProcessor:
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        loaded = pieces.LoadFromSerializedProto(content)
    except RuntimeError:
        loaded = False
    if not loaded or not pieces.get_piece_size():
        raise UserError(f"{model_file} is not a SentencePiece model; fetch or train it again")
    return pieces
