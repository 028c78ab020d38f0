"""Names of tokens in answers: their texts, or their bytes where they are parts of a character."""

from collections.abc import Sequence
from typing import Any

from generation.generation import NewToken
from tokenizer.tokenizer import Tokenizer

SPACE = "\u2581"
"""what SentencePiece writes for a space"""


class TokenNames:
    """The text and the bytes of each id of a vocabulary."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.byte_ids = tokenizer.byte_ids

    def bytes(self, token: int) -> bytes:
        """The bytes that an id adds to a text."""
        piece = self.tokenizer.piece(token)
        if token in self.byte_ids:
            return bytes([int(piece[3:-1], 16)])
        return piece.replace(SPACE, " ").encode()

    def name(self, token: int) -> str:
        r"""The text of an id; of a single byte as OpenAI writes it, such as bytes:\xe4."""
        content = self.bytes(token)
        if token in self.byte_ids and content[0] > 127:
            return f"bytes:\\x{content[0]:02x}"
        return content.decode()

    def completion(self, tokens: Sequence[NewToken], offset: int) -> dict[str, Any]:
        """The logprobs object of /v1/completions; `offset` is that of the first token in the text.

        A token with nothing before it has no log-probability.
        """
        names = [self.name(new.token) for new in tokens]
        offsets = [offset]
        for name in names:
            offsets.append(offsets[-1] + (0 if name.startswith("bytes:") else len(name)))
        return {
            "tokens": names,
            "token_logprobs": [new.log_prob for new in tokens],
            "top_logprobs": [self._likely(new) for new in tokens],
            "text_offset": offsets[:-1],
        }

    def _likely(self, new: NewToken) -> dict[str, float] | None:
        """Of ids with the same text, the most likely one."""
        if new.log_prob is None:
            return None
        found: dict[str, float] = {}
        for token, log_prob in new.likely:
            found.setdefault(self.name(token), log_prob)
        return found

    def chat(self, tokens: Sequence[NewToken]) -> dict[str, Any]:
        """The logprobs object of /v1/chat/completions."""
        return {
            "content": [
                self._entry(new.token, new.log_prob)
                | {"top_logprobs": [self._entry(*likely) for likely in new.likely]}
                for new in tokens
            ],
            "refusal": None,
        }

    def _entry(self, token: int, log_prob: float) -> dict[str, Any]:
        return {
            "token": self.name(token),
            "logprob": log_prob,
            "bytes": list(self.bytes(token)),
        }
