"""The entries of a SentencePiece vocabulary, for programs that keep a vocabulary of their own."""

from dataclasses import dataclass
from enum import IntEnum

from sentencepiece import sentencepiece_model_pb2

from common.errors import UserError
from tokenizer.tokenizer import Tokenizer

SPACE = "\u2581"
"""How SentencePiece writes a space inside a piece."""
BPE = sentencepiece_model_pb2.TrainerSpec.BPE


class Kind(IntEnum):
    """What an id stands for; the numbers are SentencePiece's, and GGUF's too."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Pieces:
    """One text, score and kind an id; in a pair to be merged, the higher score goes first."""

    texts: list[str]
    scores: list[float]
    kinds: list[Kind]
    dummy_prefix: bool
    """a space is put before each text"""


def read_pieces(tokenizer: Tokenizer, n_ids: int, program: str) -> Pieces:
    """The first `n_ids` ids of a tokenizer; ids that its file does not name are unused.

    Raises:
        UserError: `program`, which merges the best pair of pieces and knows no other way, would
            give a text other ids.
    """
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(tokenizer.model_file.read_bytes())
    rules = model.normalizer_spec
    for what, found in (
        ("its pieces are not merged pairs (BPE)", model.trainer_spec.model_type != BPE),
        ("it has no pieces for single bytes", not model.trainer_spec.byte_fallback),
        ("it replaces characters before it reads a text", bool(rules.precompiled_charsmap)),
        ("it removes spaces", rules.remove_extra_whitespaces),
    ):
        if found:
            raise UserError(
                f"{program} cannot read text as the tokenizer {tokenizer.model_file} does: {what}; "
                "export as hf"
            )
    appended = appended_pieces(tokenizer)
    texts = [appended.get(i, f"<|{i}|>") for i in range(len(model.pieces), n_ids)]
    kinds = [Kind.CONTROL if text in appended.values() else Kind.UNUSED for text in texts]
    return Pieces(
        texts=[piece.piece for piece in model.pieces] + texts,
        scores=[piece.score for piece in model.pieces] + [0.0] * len(texts),
        kinds=[Kind(piece.type) for piece in model.pieces] + kinds,
        dummy_prefix=rules.add_dummy_prefix,
    )


def appended_pieces(tokenizer: Tokenizer) -> dict[int, str]:
    """The special ids that a ChatGLM class appends to those of the model file, with their names.

    Its sop and eop are also parts of words, so they get brackets, as MindFormers itself writes them
    elsewhere.
    """
    return {
        index: f"<{piece}>" if piece.isalnum() else piece
        for piece, index in tokenizer.special_ids.items()
        if index >= tokenizer.n_pieces
    }
