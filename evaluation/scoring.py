"""Log-likelihoods of texts: how probable a model finds given ids after given ids.

A text is read as training saw it begin, after an <eos>. Rows are padded to one of three lengths,
each with a batch of its own, so that a network is compiled three times at most.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops

from model.head import chunk_rows
from model.llama import Llama
from training.feeds.tokens import batch_fields

BUCKETS = (4, 2, 1)
"""Rows are padded to the context length divided by one of these."""
CHUNK_BYTES = 32 << 20
"""Scores of all ids that stand at a time; several copies of them do, more with int8 weights."""

Ids = Sequence[int]


@dataclass(frozen=True)
class Likelihood:
    """What a model thinks of a continuation."""

    log_probs: np.ndarray
    """of each id, in nats: (n,) float32"""
    is_greedy: bool
    """whether each id is the most likely one in its place"""

    @property
    def total(self) -> float:
        """Logarithm of the probability of the whole continuation."""
        return float(self.log_probs.sum(dtype=np.float64))


@dataclass(frozen=True)
class Window:
    """One pass of the model: it reads ids[begin:end - 1] and predicts ids[first:end]."""

    begin: int
    first: int
    end: int


def windows(n_ids: int, first: int, context: int, stride: int) -> Iterator[Window]:
    """Windows that predict ids `first` to the last once each, reading at most `context` ids.

    Each window after the first predicts `stride` ids, fewer at the end, and fills its context with
    ids before them; so every prediction but those of the first window sees at least
    context - stride + 1 ids. What does not fit is cut off at the front.
    """
    done = first
    while done < n_ids:
        end = min(n_ids, max(context + 1, done + stride))
        yield Window(max(0, end - 1 - context), done, end)
        done = end


class TokenScores(nn.Cell):
    """Log-probability of each target, and the highest one in its place: both (B, T) float32.

    A chunk of rows at a time, so that the scores of all ids never stand whole.
    """

    def __init__(self, network: Llama):
        super().__init__(auto_prefix=False)
        self.network = network
        self.log_softmax = ops.LogSoftmax(-1)
        self.highest = ops.ReduceMax()

    def construct(self, tokens, segment_ids, targets):
        """Score targets, (B, T), after tokens, (B, T)."""
        network, targets_of = self.network, targets.reshape(-1, 1)
        h = network(tokens, segment_ids)
        size = chunk_rows(h.shape[0], network.output.shape[0], CHUNK_BYTES)
        chosen, highest = (), ()
        for begin in range(0, h.shape[0], size):
            part = slice(begin, begin + size)
            # Waits for the chunk before, whose scores are then free.
            rows = ops.depend(h[part], chosen[-1]) if chosen else h[part]
            log_probs = self.log_softmax(network.logits(rows))
            chosen += (ops.gather_elements(log_probs, 1, targets_of[part]).reshape(-1),)
            highest += (self.highest(log_probs, -1),)
        shape = targets.shape
        return ops.concat(chosen).reshape(shape), ops.concat(highest).reshape(shape)


class NextScores(nn.Cell):
    """Log-probabilities of all ids in one place of each row: (B, V) float32."""

    def __init__(self, network: Llama):
        super().__init__(auto_prefix=False)
        self.network = network
        self.log_softmax = ops.LogSoftmax(-1)

    def construct(self, tokens, segment_ids, places):
        """Score what follows tokens, (B, T); places, (B,), count through the flattened batch."""
        h = ops.gather(self.network(tokens, segment_ids), places, 0)
        return self.log_softmax(self.network.logits(h))


@dataclass(frozen=True)
class Batch:
    """Rows [begin, end) of a list, padded to one shape; the fields are (B, T) int32."""

    begin: int
    end: int
    tokens: np.ndarray
    targets: np.ndarray
    segment_ids: np.ndarray


class Scorer:
    """Log-likelihoods of ids under one model, a batch of rows at a time."""

    def __init__(self, network: Llama, eos_id: int, batch: int = 8):
        self.eos_id, self.batch = eos_id, batch
        self.context = network.config.max_seq_len
        self.lengths = sorted({max(1, self.context // part) for part in BUCKETS})
        self.token_scores, self.next_scores = TokenScores(network), NextScores(network)

    def continuations(
        self, pairs: Sequence[tuple[Ids, Ids]], progress: Callable[[int], None] = lambda n: None
    ) -> list[Likelihood]:
        """How likely each (context, continuation) makes its continuation.

        Continuations of one id that share a context, such as the letters of a question, share a
        pass. Where both together are longer than the model's context, the context loses its
        front. `progress` is given the number of finished pairs now and then.
        """
        texts = [([self.eos_id, *before], list(after)) for before, after in pairs]
        shared: dict[tuple[int, ...], list[int]] = {}
        longer = []
        found = [Likelihood(np.zeros(0, np.float32), True)] * len(texts)
        for i, (before, after) in enumerate(texts):
            if len(after) == 1:
                shared.setdefault(tuple(before[-self.context :]), []).append(i)
            elif after:
                longer.append(i)
        done = len(texts) - len(longer) - sum(map(len, shared.values()))
        contexts = sorted(shared, key=len, reverse=True)
        for context, scores in zip(contexts, self._next(contexts)):
            for i in shared[context]:
                chosen = scores[texts[i][1]]
                found[i] = Likelihood(chosen, bool(chosen[0] >= scores.max()))
            done += len(shared[context])
            progress(done)
        longer.sort(key=lambda i: -sum(map(len, texts[i])))
        for i, likelihood in zip(longer, self._longer([texts[i] for i in longer])):
            found[i] = likelihood
            done += 1
            progress(done)
        return found

    def text(
        self, n_ids: int, read: Callable[[int, int], np.ndarray], stride: int
    ) -> Iterator[np.ndarray]:
        """Log-probability of every id of a text, bit by bit in order, by sliding windows.

        `read(start, stop)` gives ids of the text, which may be larger than memory; `stride` of
        them are new in each window.
        """
        rows = []
        for window in windows(n_ids + 1, 1, self.context, stride):
            ids = read(max(0, window.begin - 1), window.end - 1)
            ids = ids if window.begin else np.concatenate(([self.eos_id], ids))
            rows.append((ids, window.end - window.first))
            if len(rows) == self.batch:
                yield from (log_probs for log_probs, _ in self._rows(rows))
                rows = []
        yield from (log_probs for log_probs, _ in self._rows(rows))

    def _longer(self, texts: Sequence[tuple[Ids, Ids]]) -> Iterator[Likelihood]:
        """Continuations of several ids, in windows that do not overlap but for their context."""
        rows = []
        for before, after in texts:
            ids = np.array([*before, *after], np.int32)
            for window in windows(len(ids), len(before), self.context, self.context):
                rows.append((ids[window.begin : window.end], window.end - window.first))
        scored = self._rows(rows)
        for _, after in texts:
            parts = [next(scored)]
            while sum(len(log_probs) for log_probs, _ in parts) < len(after):
                parts.append(next(scored))
            log_probs, greedy = map(np.concatenate, zip(*parts))
            yield Likelihood(log_probs, bool(greedy.all()))

    def _rows(
        self, rows: Sequence[tuple[np.ndarray, int]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For rows of ids, the longest first: log-probabilities of the last n, and whether each
        is the likeliest.
        """
        for batch in self._batches([ids for ids, _ in rows]):
            fields = (Tensor(field) for field in (batch.tokens, batch.segment_ids, batch.targets))
            chosen, highest = (scores.asnumpy() for scores in self.token_scores(*fields))
            for row, (ids, n) in enumerate(rows[batch.begin : batch.end]):
                last = slice(len(ids) - 1 - n, len(ids) - 1)
                yield chosen[row, last], chosen[row, last] >= highest[row, last]

    def _next(self, contexts: Sequence[Ids]) -> Iterator[np.ndarray]:
        """Log-probabilities of every id after each context, (V,); the longest context first."""
        for batch in self._batches([[*context, 0] for context in contexts]):
            rows = contexts[batch.begin : batch.end]
            places = np.arange(len(batch.tokens), dtype=np.int32) * batch.tokens.shape[1]
            places[: len(rows)] += np.array([len(context) - 1 for context in rows], np.int32)
            fields = (Tensor(field) for field in (batch.tokens, batch.segment_ids, places))
            yield from self.next_scores(*fields).asnumpy()[: len(rows)]

    def _batches(self, rows: Sequence[Ids]) -> Iterator[Batch]:
        """Rows of ids, the longest first, padded to few shapes of about equal size."""
        begin = 0
        while begin < len(rows):
            length = next(n for n in self.lengths if n >= len(rows[begin]) - 1)
            size = self.batch * (self.context // length)
            ids = np.zeros((size, length + 1), np.int32)
            for i, row in enumerate(rows[begin : begin + size]):
                ids[i, : len(row)] = row
            tokens, targets, _, segment_ids = batch_fields(ids, self.eos_id)
            yield Batch(begin, min(begin + size, len(rows)), tokens, targets, segment_ids)
            begin += size
