"""Whether a vocabulary gives back the text that it encodes, tried on lines of many kinds."""

import random
from collections.abc import Iterator

import sentencepiece

from common.errors import UserError

SPACE = "\u2581"
"""SentencePiece's sign for a space. It is a piece of every vocabulary that is trained here."""
N_LINES = 1000
MAX_CHARACTERS = 24
# First and last character of what the lines are made of; each is as likely as the others.
KINDS = (
    (" ", " "),
    ("0", "9"),
    (" ", "~"),  # ASCII
    ("\t", "\r"),  # all line breaks
    ("\0", "\x1f"),
    ("\x80", "\u024f"),
    ("\u0300", "\u036f"),  # combining accents
    ("\u2000", "\u206f"),  # punctuation, spaces of all widths, marks of direction
    ("\u3000", "\u303f"),  # Chinese punctuation and the ideographic space
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\uac00", "\ud7a3"),
    ("\ufe00", "\ufeff"),  # variation selectors, the byte-order mark
    ("\uff01", "\uff5e"),  # full-width forms
    ("\U0001f300", "\U0001faff"),  # emoji
    ("\U00020000", "\U0002ffff"),
)
WORDS = ("<s>", "</s>", "<unk>", "<pad>", "<0x0A>", "<|user|>", "\r\n", "\n\n", "  ")


def odd_lines() -> Iterator[str]:
    """`N_LINES` texts, always the same: spaces and line breaks anywhere, rare and joined forms."""
    rng = random.Random(0)
    yield from WORDS
    for _ in range(N_LINES - len(WORDS)):
        kinds = rng.sample(KINDS, rng.randint(1, 4))
        parts = [_character(rng, *rng.choice(kinds)) for _ in range(rng.randint(1, MAX_CHARACTERS))]
        if rng.random() < 0.2:
            parts.insert(rng.randrange(len(parts)), rng.choice(WORDS))
        yield "".join(parts)


def with_space(model: bytes) -> bytes:
    """A BPE vocabulary, given as the content of its file, in which a space is a piece.

    Text with hardly any space gives none. SentencePiece would then write a space as the bytes of
    `SPACE`, and give back that sign. The last piece that was merged, the rarest, makes room: no
    other is made from it, and all others keep their ids.
    """
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    if any(piece.piece == SPACE for piece in proto.pieces):
        return model
    normal = [piece for piece in proto.pieces if piece.type == piece.NORMAL]
    merged = [piece for piece in normal if len(piece.piece) > 1]
    (merged or normal)[-1].piece = SPACE
    return proto.SerializeToString()


def check_round_trip(model: bytes) -> None:
    """Encode and decode all `odd_lines` with a vocabulary, given as the content of its file.

    Raises:
        UserError: one does not come back as it was.
    """
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    for line in odd_lines():
        found = pieces.decode(pieces.encode(line))
        if found != line:
            raise UserError(
                f"the vocabulary trained on this corpus turns {line!r} into {found!r}, so it is "
                "not used; please report this with the version of sentencepiece"
            )


def _character(rng: random.Random, first: str, last: str) -> str:
    return chr(rng.randint(ord(first), ord(last)))
