"""Choosing the next id of each text from a model's scores."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampling:
    """How the next id is chosen, and how many at most."""

    temperature: float = 1.0
    """divides the scores; 0: always the most likely id"""
    top_k: int = 0
    """sample among the k most likely ids; 0: all"""
    top_p: float = 1.0
    """sample among the most likely ids that together have this probability (arXiv:1904.09751)"""
    min_p: float = 0.0
    """drop ids less likely than this share of the most likely one (arXiv:2407.01082); 0: none"""
    repetition_penalty: float = 1.0
    """makes ids already in the text less likely (CTRL, arXiv:1909.05858); 1: off"""
    frequency_penalty: float = 0.0
    """taken from an id's score for each time that it is in the continuation; 0: off"""
    no_repeat_ngram: int = 0
    """no so many ids in a row are written twice in a text; 0: off"""
    max_new_tokens: int = 100
    """longest continuation"""
    seed: int = 0
    """of the choices; a text's continuation does not depend on the texts beside it"""

    @property
    def minds_repetition(self) -> bool:
        """Whether a score depends on what its text already has."""
        penalties = self.repetition_penalty != 1 or self.frequency_penalty != 0
        return penalties or self.no_repeat_ngram > 0


class TextState:
    """What the choice of a text's next id depends on, beside the scores."""

    def __init__(self, prompt: Sequence[int], sampling: Sampling, sample: int = 0):
        """`sample` numbers the continuations of one prompt; each draws numbers of its own."""
        self.sampling, self.rng = sampling, np.random.default_rng([sampling.seed, sample])
        self.ids: list[int] = []
        self.seen: set[int] = set()
        self.written: Counter[int] = Counter()
        self.followers: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for token in prompt:
            self._read(token)

    def add(self, token: int) -> None:
        """The text goes on with a new id."""
        self._read(token)
        self.written[token] += 1

    def _read(self, token: int) -> None:
        if self.sampling.no_repeat_ngram:
            self.followers[self._last()].add(token)
        self.ids.append(token)
        self.seen.add(token)

    def _last(self) -> tuple[int, ...]:
        """The ids that a next one would make an n-gram with; fewer at the beginning."""
        n = self.sampling.no_repeat_ngram - 1
        return tuple(self.ids[-n:]) if n else ()

    def adjust(self, scores: np.ndarray) -> None:
        """Lower the scores, (V,), of what should not be repeated; ids that must not get -inf."""
        sampling = self.sampling
        if sampling.repetition_penalty != 1 and self.seen:
            ids = list(self.seen)
            found, penalty = scores[ids], sampling.repetition_penalty
            scores[ids] = np.where(found > 0, found / penalty, found * penalty)
        if sampling.frequency_penalty and self.written:
            times = np.fromiter(self.written.values(), np.float32)
            scores[list(self.written)] -= sampling.frequency_penalty * times
        if sampling.no_repeat_ngram:
            banned = list(self.followers.get(self._last(), ()))
            if len(banned) < len(scores):
                scores[banned] = -np.inf


def choose(scores: np.ndarray, texts: Sequence[TextState], sampling: Sampling) -> np.ndarray:
    """The next id of each text, (B,), from its scores, (B, V).

    Raises:
        ValueError: a score is not a number.
    """
    if not np.isfinite(scores).all():
        raise ValueError("the model's scores are not finite numbers: its training diverged")
    if sampling.minds_repetition:
        scores = scores.copy()
        for row, text in zip(scores, texts):
            text.adjust(row)
    if sampling.temperature == 0:
        return scores.argmax(-1)
    ids, p = distribution(scores, sampling)
    uniform = np.array([text.rng.random() for text in texts])
    total = p.cumsum(-1)
    places = (total <= uniform[:, None] * total[:, -1:]).sum(-1, keepdims=True)
    return np.take_along_axis(ids, places, -1)[:, 0]


def distribution(scores: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """What is sampled among: ids and their probabilities but for a factor, both (B, n).

    An id that is left out has probability 0, or is absent.
    """
    size = scores.shape[-1]
    best = scores.max(-1, keepdims=True).astype(np.float64)
    mass = None
    if 0 < sampling.top_k < size:
        ids = likeliest(scores, sampling.top_k)
    elif sampling.top_p < 1:
        p = np.exp((scores - best) / sampling.temperature)
        mass = p.sum(-1, keepdims=True)
        # All that are rarer have together less than 1 - top_p, so none of them can be needed.
        enough = (p * size >= (1 - sampling.top_p) * mass).sum(-1).max()
        ids = likeliest(scores, enough)
    else:
        ids = np.broadcast_to(np.arange(size), scores.shape)
    p = np.exp((np.take_along_axis(scores, ids, -1) - best) / sampling.temperature)
    p[p < sampling.min_p] = 0
    if sampling.top_p < 1:
        mass = p.sum(-1, keepdims=True) if mass is None else mass
        p[p.cumsum(-1) - p >= sampling.top_p * mass] = 0
    return ids, p


def likeliest(scores: np.ndarray, n: int) -> np.ndarray:
    """The ids of the n highest scores of each row, (B, n), the highest first."""
    size = scores.shape[-1]
    ids = np.broadcast_to(np.arange(size), scores.shape)
    if n < size:
        ids = np.argpartition(scores, size - max(n, 1), -1)[:, size - n :]
    found = np.take_along_axis(scores, ids, -1)
    # The lower of equal ids first, as in argmax.
    return np.take_along_axis(ids, np.lexsort((ids, -found), axis=-1), -1)


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    """Logarithms of the model's own probabilities, (B, V) float64, before any sampling setting."""
    shifted = scores - scores.max(-1, keepdims=True).astype(np.float64)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
