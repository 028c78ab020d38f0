"""llama2.c's tokenizer.bin, and how its fixed ids are made to mean what they mean in our text.

llama2.c begins every text with the id 1, adds a space before it, and stops at the id 1. Our
documents begin after an <eos> and end in one, and a vocabulary trained here knows no space before
a text. So in an exported model

- id 1 is our <eos>, and id 2 is our <s>, which no text holds;
- if the vocabulary has no space before a text, id 2 gets the spelling "id 1, then a space" and the
  best score. Merging takes that pair first, and what is left is an <eos> (id 2 has its embedding)
  and the text alone. The output layer still has the scores of <s> there, hence it is written apart
  from the embedding.

Everything else is as in the SentencePiece file: llama2.c merges pairs by score as it does.
"""

import struct

import numpy as np

from common.errors import UserError
from interop.pieces import SPACE, Kind, Pieces

N_BYTES = 256
FIRST_BYTE = 3
BEGIN, FREE = 1, 2
"""The id that llama2.c begins and ends texts with, and the one that is free for our purposes."""


def swap_rows(table: np.ndarray) -> np.ndarray:
    """A copy of a table, (V, ...), with the rows of the ids 1 and 2 exchanged."""
    table = table.copy()
    table[[BEGIN, FREE]] = table[[FREE, BEGIN]]
    return table


def check_ids(pieces: Pieces, eos_id: int) -> None:
    """Make sure that the ids that llama2.c takes for granted mean that here.

    Raises:
        UserError: they do not.
    """
    special = [Kind.UNKNOWN, Kind.CONTROL, Kind.CONTROL]
    expected = special + [Kind.BYTE] * N_BYTES
    if pieces.kinds[: len(expected)] != expected or eos_id != 2:
        raise UserError(
            "llama2.c needs the ids 0, 1, 2 to be <unk>, <s>, </s> and the bytes to follow them; "
            "this tokenizer numbers them differently: export as hf or gguf"
        )


def tokenizer_bin(pieces: Pieces) -> bytes:
    """The file: int32 length of the longest entry; for each id float32 score, int32 length, text.

    Special entries stand between line breaks, so that no text spells them.
    """
    texts, scores = [spelling(*piece) for piece in zip(pieces.texts, pieces.kinds)], pieces.scores
    if " " not in texts:  # llama2.c looks it up without asking whether it is there
        texts[FIRST_BYTE + ord(" ")] = " "
    entries = list(zip(texts, scores))
    entries[BEGIN], entries[FREE] = entries[FREE], entries[BEGIN]
    if not pieces.dummy_prefix:
        entries[FREE] = (entries[BEGIN][0] + " ", max(scores) + 1)
    encoded = [(text.encode(), score) for text, score in entries]
    head = struct.pack("<i", max(len(text) for text, _ in encoded))
    return head + b"".join(struct.pack("<fi", score, len(text)) + text for text, score in encoded)


def spelling(text: str, kind: Kind) -> str:
    """What llama2.c compares text with, and prints."""
    if kind in (Kind.NORMAL, Kind.USER_DEFINED):
        return text.replace(SPACE, " ")
    return text if kind == Kind.BYTE else f"\n{text}\n"
