"""Sampling ids from a model's scores, and the loop that continues a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.cache import Decoder


@dataclass(frozen=True)
class Sampling:
    """How the next id is chosen, and how many at most."""

    temperature: float = 1.0
    """divides the scores; 0: always the most likely id"""
    top_k: int = 0
    """sample among the k most likely ids; 0: all"""
    top_p: float = 1.0
    """sample among the most likely ids that together have this probability"""
    repetition_penalty: float = 1.0
    """makes ids already in the text less likely (CTRL, arXiv:1909.05858); 1: off"""
    max_new_tokens: int = 100
    """longest continuation"""
    seed: int = 0
    """of the choices; a text's continuation does not depend on texts before it"""


def sample(
    scores: np.ndarray, text: Sequence[int], sampling: Sampling, rng: np.random.Generator
) -> int:
    """Choose the next id from its scores, (V,), for a text of ids so far.

    Raises:
        ValueError: a score is not a number.
    """
    scores = scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("the model's scores are not finite numbers: its training diverged")
    seen = np.unique(np.asarray(text, np.int64))
    penalty = sampling.repetition_penalty
    scores[seen] = np.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
    if sampling.temperature == 0:
        return int(np.argmax(scores))
    # Stable, so that the lowest of equal ids comes first, as in argmax.
    ids = np.argsort(-scores, kind="stable")[: sampling.top_k or None]
    p = np.exp((scores[ids] - scores[ids[0]]) / sampling.temperature)
    p /= p.sum()
    if sampling.top_p < 1:
        ids = ids[: np.searchsorted(np.cumsum(p), sampling.top_p) + 1]
        p = p[: len(ids)] / p[: len(ids)].sum()
    return int(rng.choice(ids, p=p))


class Generation:
    """The ids that continue a prompt, one by one, without the prompt and without <eos>.

    The prompt is read as the beginning of a document, that is after an <eos>, as in training; an
    empty prompt continues that <eos> alone. <eos>, prompt and continuation fit the context
    together. `stopped_by` says in the end why there are no more ids: "<eos>", "max_new_tokens" or
    "context".
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Sequence[int],
        sampling: Sampling,
        eos_id: int,
        vocab_size: int,
    ):
        """Ids from `vocab_size` on only pad the embedding, and are never sampled.

        Raises:
            ValueError: the prompt leaves no room in the context.
        """
        longest = decoder.max_seq_len - 2
        if len(prompt) > longest:
            raise ValueError(
                f"the prompt has {len(prompt)} tokens, but the context of {decoder.max_seq_len} "
                f"has room for {longest} beside the document's start and one new token; shorten it"
            )
        self.decoder, self.prompt, self.sampling = decoder, list(prompt), sampling
        self.eos_id, self.vocab_size = eos_id, vocab_size
        self.stopped_by = ""

    def __iter__(self) -> Iterator[int]:
        """Yield ids until there is a reason to stop."""
        rng = np.random.default_rng(self.sampling.seed)
        room = self.decoder.max_seq_len - 1 - len(self.prompt)
        scores = self.decoder.begin(self.eos_id)
        for token in self.prompt:
            scores = self.decoder.feed(token)
        text = list(self.prompt)
        for left in range(min(room, self.sampling.max_new_tokens), 0, -1):
            token = sample(scores[: self.vocab_size], text, self.sampling, rng)
            if token == self.eos_id:
                self.stopped_by = "<eos>"
                return
            yield token
            text.append(token)
            if left > 1:
                scores = self.decoder.feed(token)
        self.stopped_by = "context" if room < self.sampling.max_new_tokens else "max_new_tokens"
