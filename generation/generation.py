"""The loop that continues several texts at once."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from generation.decoding import Decoder
from generation.sampling import Sampling, TextState, choose, likeliest, log_probabilities


@dataclass(frozen=True)
class NewToken:
    """An id that was chosen."""

    row: int
    """the prompt that it continues"""
    token: int
    log_prob: float | None = None
    """logarithm of its probability in nats, as the model has it; None: not asked for"""
    likely: tuple[tuple[int, float], ...] = ()
    """the most likely ids here with their log-probabilities"""
    ends: bool = False
    """whether it is one of the end ids, and so the last of its row"""


def lack_of_room(prompt_tokens: int, context: int) -> str | None:
    """What to say of a prompt that leaves no room for a new token; None: there is room."""
    longest = context - 2
    if prompt_tokens <= longest:
        return None
    return (
        f"the prompt has {prompt_tokens} tokens, but the context of {context} has room for "
        f"{longest} beside the document's start and one new token; shorten it"
    )


class Generation:
    """The ids that continue prompts, one an unfinished prompt a step, without the end ids.

    A prompt is read as the beginning of a document, that is after an <eos>, as in training; an
    empty prompt continues that <eos> alone. <eos>, prompt and continuation fit the context
    together. `stopped_by` says in the end of each why there are no more ids: "<eos>" (one of
    `end_ids` was chosen), "max_new_tokens", "context" (it is full), or the reason given to `stop`.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        start_id: int,
        end_ids: Collection[int],
        vocab_size: int,
        samples: Sequence[int] | None = None,
        n_likely: int | None = None,
        yield_ends: bool = False,
    ):
        """Ids from `vocab_size` on only pad the embedding, and are never sampled.

        Args:
            decoder: the model.
            prompts: ids of each.
            sampling: the same for all.
            start_id: begins each document, the tokenizer's <eos>.
            end_ids: each ends a text: <eos>, and the end of an answer in a dialogue.
            vocab_size: ids that stand for something.
            samples: number of each prompt's random stream; None: 0 for all.
            n_likely: give log-probabilities, and those of so many most likely ids; None: none.
            yield_ends: yield the chosen end id too, as reinforcement learning needs it: it is an
                action like the others, and counts among `max_new_tokens`.

        Raises:
            ValueError: a prompt leaves no room in the context.
        """
        self.context = decoder.max_seq_len
        for prompt in prompts:
            if reason := lack_of_room(len(prompt), self.context):
                raise ValueError(reason)
        self.decoder, self.sampling = decoder, sampling
        self.prompts = [list(prompt) for prompt in prompts]
        self.start_id, self.end_ids, self.vocab_size = start_id, frozenset(end_ids), vocab_size
        self.n_likely, self.yield_ends = n_likely, yield_ends
        self.samples = samples or [0] * len(self.prompts)
        self.stopped_by = [""] * len(self.prompts)

    def stop(self, row: int, reason: str) -> None:
        """Ask for no more ids of a row."""
        self.stopped_by[row] = reason

    def __iter__(self) -> Iterator[NewToken]:
        """Yield ids until there is a reason to stop for each prompt."""
        texts = [TextState(p, self.sampling, n) for p, n in zip(self.prompts, self.samples)]
        rooms = [self.context - 1 - len(prompt) for prompt in self.prompts]
        left = [min(room, self.sampling.max_new_tokens) for room in rooms]
        scores = self.decoder.begin(self.prompts, self.start_id, max(left))
        while True:
            going = [row for row, reason in enumerate(self.stopped_by) if not reason]
            tokens = [-1] * len(texts)
            chosen_from = scores if len(going) == len(scores) else scores[going]
            for new in self._choose(chosen_from[:, : self.vocab_size], going, texts):
                row = new.row
                if new.token in self.end_ids:
                    self.stop(row, "<eos>")
                    if self.yield_ends:
                        yield replace(new, ends=True)
                    continue
                yield new
                texts[row].add(new.token)
                left[row] -= 1
                if not left[row] and not self.stopped_by[row]:
                    full = rooms[row] < self.sampling.max_new_tokens
                    self.stop(row, "context" if full else "max_new_tokens")
                if not self.stopped_by[row]:
                    tokens[row] = new.token
            if all(self.stopped_by):
                return
            scores = self.decoder.feed(tokens)

    def _choose(
        self, scores: np.ndarray, rows: Sequence[int], texts: Sequence[TextState]
    ) -> Iterator[NewToken]:
        """The next id of each of some rows, from their scores, (rows, V)."""
        chosen = choose(scores, [texts[row] for row in rows], self.sampling)
        if self.n_likely is None:
            yield from map(NewToken, rows, chosen.tolist())
            return
        for row, token, found in zip(rows, chosen.tolist(), scores):
            ids = likeliest(found, self.n_likely).tolist()
            log_prob, *others = log_probabilities(found, [token, *ids]).tolist()
            yield NewToken(row, token, log_prob, tuple(zip(ids, others)))
