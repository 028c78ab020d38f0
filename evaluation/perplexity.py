"""How well a model predicts text that it was not trained on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UserError
from corpus.manifest import SourceCounts
from corpus.token_file import VAL_NAME, TokenFile
from evaluation.scoring import Scorer
from tokenizer.tokenizer import Tokenizer
from training.heldout import HeldOutResult

HELD_OUT = "held-out text"


@dataclass(frozen=True)
class TextLoss(HeldOutResult):
    """A loss that also knows how uncertain it is."""

    name: str
    """of the text or the source"""
    pieces: int
    """documents, or rows of a text that is a single document"""
    error: float
    """standard error of the loss over the pieces, in nats a token"""

    @property
    def bits_error(self) -> float:
        """Standard error of the bits per byte."""
        return self.error * self.bits_per_byte / self.loss if self.loss else 0.0


@dataclass(frozen=True)
class Pieces:
    """Nats and ids of consecutive pieces of a text, each (n,)."""

    nats: np.ndarray
    tokens: np.ndarray

    def loss(self, name: str, text_bytes: float) -> TextLoss:
        """The loss over all pieces."""
        nats, tokens = float(self.nats.sum()), int(self.tokens.sum())
        return TextLoss(nats, tokens, text_bytes, name, len(self.nats), self._error(nats / tokens))

    def _error(self, loss: float) -> float:
        """Standard error of nats / tokens, a ratio of two sums over pieces of unequal length.

        Pieces and not tokens are counted as independent, because the tokens of a text are not.
        """
        n = len(self.nats)
        if n < 2:
            return math.nan
        residuals = self.nats - loss * self.tokens
        return math.sqrt(float(np.square(residuals).sum()) * n / (n - 1)) / float(self.tokens.sum())

    def part(self, begin: int, end: int) -> "Pieces":
        """Pieces [begin, end)."""
        return Pieces(self.nats[begin:end], self.tokens[begin:end])


def measure(
    scorer: Scorer, tokenizer: Tokenizer, data_dir: str, stride: int
) -> tuple[TextLoss, list[TextLoss]]:
    """Loss on the whole validation file of a data folder, and on each of its sources.

    Every id is predicted once. The sources are separated only where the file holds them one after
    the other, as its manifest counts them.

    Raises:
        UserError: the file is missing, damaged, or made with another tokenizer.
    """
    file = TokenFile.open(Path(data_dir) / VAL_NAME)
    file.check(tokenizer)
    pieces = by_document(scorer, file, stride)
    if file.manifest is None:
        return pieces.loss(HELD_OUT, 0.0), []
    whole = pieces.loss(HELD_OUT, file.manifest.text_bytes)
    return whole, list(by_source(pieces, file.manifest.sources))


def measure_text(scorer: Scorer, tokenizer: Tokenizer, name: str, path: Path, stride: int):
    """Loss on a file of raw text, read as one document and ended by <eos>.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read text from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; convert it") from error
    if not text.strip():
        raise UserError(f"{path} holds no text; name a file that has text")
    ids = np.array([*tokenizer.encode(text), tokenizer.eos_id], np.int32)
    scored = scorer.text(len(ids), lambda start, stop: ids[start:stop], stride)
    log_probs = np.concatenate(list(scored)).astype(np.float64)
    starts = np.arange(0, len(ids), scorer.context)
    tokens = np.diff([*starts, len(ids)])
    pieces = Pieces(-np.add.reduceat(log_probs, starts), tokens)
    return pieces.loss(name, len(text.encode("utf-8")))


def by_document(scorer: Scorer, file: TokenFile, stride: int) -> Pieces:
    """Nats and ids of each document of a token file, read in order with bounded memory."""
    nats, tokens, at = [0.0], [0], 0
    for log_probs in scorer.text(file.n_tokens, file.read, stride):
        ids = file.read(at, at + len(log_probs))
        at += len(log_probs)
        ends = np.flatnonzero(ids == scorer.eos_id) + 1
        for part in np.split(log_probs.astype(np.float64), ends):
            nats[-1] -= float(part.sum())
            tokens[-1] += len(part)
            nats.append(0.0)
            tokens.append(0)
        # The last part goes on in the next window.
        nats.pop()
        tokens.pop()
    if not tokens[-1]:
        nats.pop()
        tokens.pop()
    return Pieces(np.array(nats), np.array(tokens))


def by_source(pieces: Pieces, sources: Sequence[SourceCounts]) -> Iterator[TextLoss]:
    """The loss on each source, if the documents stand in the order of the sources."""
    ends = np.cumsum([source.documents for source in sources])
    parts = [pieces.part(end - s.documents, end) for s, end in zip(sources, ends)]
    if any(int(part.tokens.sum()) != s.tokens for part, s in zip(parts, sources)):
        return
    for part, source in zip(parts, sources):
        if source.documents:
            yield part.loss(source.name, source.text_bytes)


def describe(result: TextLoss) -> str:
    """The numbers in a line."""
    if math.isnan(result.bits_per_byte):
        return (
            f"{result.name}: loss {format_loss(result)} nats/token, perplexity "
            f"{result.perplexity:.2f} over {result.tokens:,} tokens"
        )
    return (
        f"{result.name}: loss {result.loss:.4f} nats/token, perplexity {result.perplexity:.2f}, "
        f"bits per byte {format_bits(result)} over {result.tokens:,} tokens"
    )


def format_bits(result: TextLoss) -> str:
    """Bits per byte and its error; a token file without a manifest does not give its bytes."""
    if math.isnan(result.bits_per_byte):
        return "unknown"
    return f"{result.bits_per_byte:.3f}{_error(result.bits_error, 3)}"


def format_loss(result: TextLoss) -> str:
    """Nats a token and their error."""
    return f"{result.loss:.4f}{_error(result.error, 4)}"


def _error(error: float, digits: int) -> str:
    """Left out where a single document or row gives none."""
    return "" if math.isnan(error) else f" ± {error:.{digits}f}"
