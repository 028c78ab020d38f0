"""Choosing the next id of each text from a model's scores."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generation.cpu_scores import highest

BLOCK = 64
"""Scores whose sum or maximum is taken first, where a whole vocabulary is looked through."""
FEW = 512
"""Likeliest ids among which the nucleus of top-p is looked for first."""


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
    """no sequence of this many ids is written twice in a text; 0: off"""
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
    return np.array([_choice(row, text, sampling) for row, text in zip(scores, texts)], np.int64)


def _choice(scores: np.ndarray, text: TextState, sampling: Sampling) -> int:
    best = highest(scores)
    if best < 0:
        raise ValueError("the model's scores are not finite numbers: its training diverged")
    if sampling.minds_repetition:
        scores = scores.copy()
        text.adjust(scores)
        best = scores.argmax()
    if sampling.temperature == 0:
        return best
    ids, p = distribution(scores, sampling)
    place = draw(p, text.rng.random())
    return place if ids is None else ids[place]


def distribution(scores: np.ndarray, sampling: Sampling) -> tuple[np.ndarray | None, np.ndarray]:
    """What is sampled among: ids, and their probabilities but for a factor, both (n,).

    An id that is left out has probability 0, or is absent; None stands for all ids. All of a large
    vocabulary are neither sorted nor taken in float64: that would take longer than a small model.
    """
    best, mass = scores.max(), None

    def likelihood(of: np.ndarray) -> np.ndarray:
        return np.exp((of - best) / np.float32(sampling.temperature))

    if 0 < sampling.top_k < scores.size:
        ids = likeliest(scores, sampling.top_k)
    elif sampling.top_p < 1:
        ids, mass = _nucleus(scores, likelihood(scores), sampling.top_p)
    elif sampling.min_p:
        ids = np.flatnonzero(likelihood(scores) >= sampling.min_p)
    else:
        return None, likelihood(scores)
    p = likelihood(scores[ids]).astype(np.float64)
    p[p < np.float32(sampling.min_p)] = 0
    if sampling.top_p < 1:
        mass = p.sum() if mass is None else mass
        p[p.cumsum() - p >= sampling.top_p * mass] = 0
    return ids, p


def _nucleus(scores: np.ndarray, p: np.ndarray, share: float) -> tuple[np.ndarray, float]:
    """So many of the likeliest ids that they have this share of all p, and the sum of all."""
    mass = p.sum(dtype=np.float64)
    ids = likeliest(scores, FEW)
    if p[ids].sum(dtype=np.float64) < share * mass:
        # All that are rarer have together less than 1 - share, so none of them can be needed.
        ids = np.flatnonzero(p >= (1 - share) * mass / p.size)
        ids = ids[likeliest(scores[ids], ids.size)]
    return ids, mass


def draw(p: np.ndarray, uniform: float) -> int:
    """The place where the running sum of p, (n,), passes a share `uniform` of it.

    The sums of blocks say in which block that is; only there the running sum is made.
    """
    whole = p.size // BLOCK * BLOCK
    sums = np.append(p[:whole].reshape(-1, BLOCK).sum(-1), p[whole:].sum()).astype(np.float64)
    ends = sums.cumsum()
    target = uniform * ends[-1]
    block = min(np.searchsorted(ends, target, side="right"), np.flatnonzero(sums)[-1])
    inside = p[block * BLOCK : (block + 1) * BLOCK].cumsum(dtype=np.float64)
    found = np.searchsorted(inside, target - (ends[block] - sums[block]), side="right")
    # The two sums of a block may differ in their last digit: its last likely id is not passed.
    return int(block * BLOCK + min(found, np.flatnonzero(np.diff(inside, prepend=0))[-1]))


def likeliest(scores: np.ndarray, n: int) -> np.ndarray:
    """The ids of the n highest scores of a row, (V,), the highest first: (n,).

    Scores are cut into groups. n groups have a score not below the n-th highest of their maxima,
    so at least n scores are not below it, and few enough to be sorted.
    """
    groups = scores.size // BLOCK
    if 0 < n <= groups:
        highest = scores[: groups * BLOCK].reshape(BLOCK, groups).max(0)
        ids = np.flatnonzero(scores >= np.partition(highest, groups - n)[groups - n])
    else:
        ids = np.arange(scores.size)
    # The lower of equal ids first, as in argmax.
    return ids[np.lexsort((ids, -scores[ids]))][:n]


def log_probabilities(scores: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Logarithms of the model's own probabilities, before any sampling setting, of some ids.

    scores are a row, (V,); the result is (n,) float64.
    """
    best = scores.max()
    total = np.exp(scores - best).sum(dtype=np.float64)
    return scores[list(ids)].astype(np.float64) - best - np.log(total)
