"""The tokenizer section of the recipe."""

import os
from dataclasses import dataclass
from typing import Literal

from common.ranges import check_range


@dataclass(frozen=True)
class TokenizerConfig:
    """Which vocabulary turns text into ids."""

    kind: Literal["sentencepiece", "chatglm2", "chatglm3"] = "sentencepiece"
    """sentencepiece (trained on the corpus when no path is given), chatglm2 or chatglm3"""
    path: str | None = None
    """a tokenizer.model file, a folder that holds one, or for ChatGLM a hub name; \
null: <data.dir>/tokenizer.model"""
    vocab_size: int = 8000
    """pieces to train; only for kind sentencepiece without a path"""
    sample_bytes: int = 50_000_000
    """bytes of text to train them on, chosen by hash: bounds memory and time"""

    def __post_init__(self):
        """Expand `~`; reject sizes that SentencePiece cannot train.

        Raises:
            ValueError: names the field.
        """
        if self.path is not None:
            object.__setattr__(self, "path", os.path.expanduser(self.path))
        if not 300 <= self.vocab_size <= 1_000_000:
            raise ValueError(
                f"tokenizer.vocab_size is {self.vocab_size}; it must lie between 300 "
                "(256 bytes and the special pieces come first) and 1,000,000"
            )
        check_range("tokenizer.sample_bytes", self.sample_bytes, "[1, inf)")
        if self.kind != "sentencepiece" and self.path is None:
            raise ValueError(
                f"tokenizer.path is missing; tokenizer.kind {self.kind} needs a tokenizer.model "
                "file or the hub name THUDM/chatglm2-6b or THUDM/chatglm3-6b"
            )
