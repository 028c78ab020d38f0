"""Continuous batching: texts join and leave between steps (Orca, OSDI 2022).

A step reads one new id of each text that is being written and, beside them, the next ids of
prompts, a bounded number of rows in all: a long prompt holds nobody up (Sarathi, arXiv:2308.16369).
"""

import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from generation.generation import NewToken
from generation.request import NOT_FINITE, End, Event, PromptRead, Request, Text
from generation.sampling import choose, likeliest, log_probabilities
from generation.slot_steps import Rows
from generation.slots import Slots, common_prefix
from model.llama import Llama
from tokenizer.tokenizer import Tokenizer

PROMPT_ROWS = 32
"""ids of prompts that a step reads at most"""
WORTH_WAITING = 16
"""ids; a text waits for another that is reading so many more of its first ids than are cached"""


class Batch:
    """Writes texts with one model, each as it would be written alone."""

    def __init__(self, network: Llama, tokenizer: Tokenizer, n_slots: int):
        self.tokenizer, self.slots = tokenizer, Slots(network, n_slots)
        self.context = network.config.max_seq_len
        self.sees_last_document = not network.config.document_mask
        self.waiting: deque[Request] = deque()
        self.texts: list[Text] = []

    @property
    def longest_prompt(self) -> int:
        """Ids of a prompt that leave room for the document's start and one new id."""
        return self.context - 2

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self.waiting or self.texts)

    def warm_up(self) -> None:
        """Compile all that steps need, before the first request is there."""
        n_slots = len(self.slots.slots)
        self.slots.step.warm_up(min(n_slots + PROMPT_ROWS, self.context))

    def add(self, request: Request) -> None:
        """Let a request wait for its turn.

        Raises:
            ValueError: the prompt leaves no room in the context.
        """
        if len(request.prompt) > self.longest_prompt:
            raise ValueError(
                f"the prompt has {len(request.prompt)} tokens, but the context of {self.context} "
                f"has room for {self.longest_prompt} beside the document's start and one new token"
            )
        self.waiting.append(request)

    def cancel(self, request: Request) -> None:
        """Forget a request; its slot is free for the next step."""
        if request in self.waiting:
            self.waiting.remove(request)
        for text in self.texts:
            if text.request is request:
                self._leave(text)

    def clear(self) -> list[Request]:
        """Forget all requests and all that is cached; which they were."""
        requests = [*self.waiting, *(text.request for text in self.texts)]
        self.waiting.clear()
        self.texts.clear()
        self.slots.clear()
        return requests

    def step(self) -> list[tuple[Request, Event]]:
        """Read one id of each text, or some of its prompt; what came of it."""
        events = list(self._expire())
        self._join()
        rows, parts = self._rows()
        if not parts:
            return events
        logits = self.slots.step(rows)
        begin = 0
        for text, n_wanted in parts:
            found = logits[begin : begin + n_wanted]
            begin += n_wanted
            events += self._after_reading(text, found)
            if text.unread:
                continue
            if text.request.sampling.max_new_tokens:
                events += self._continue(text, self._choose(text, found[-1]))
            else:
                events += self._end(text, "max_new_tokens")
        return events

    def _expire(self) -> Iterator[tuple[Request, Event]]:
        now = time.monotonic()
        for request in [r for r in self.waiting if r.deadline < now]:
            self.waiting.remove(request)
            yield request, End("time", 0)
        for text in [t for t in self.texts if t.request.deadline < now]:
            yield from self._end(text, "time")

    def _join(self) -> None:
        """Give free slots to those that wait, first come first served."""
        for request in list(self.waiting):
            if not self.slots.free():
                return
            text = self._begin(request)
            if self._soon_cached(text):
                continue
            self.waiting.remove(request)
            # The last id is read in any case, for its logits.
            longest = 0 if request.score_prompt or text.shift else text.n_prompt - 1
            text.slot, text.n_read = self.slots.take(text.ids, longest)
            text.cached = text.n_read
            self.texts.append(text)

    def _begin(self, request: Request) -> Text:
        """A text as training saw documents begin, after an <eos>.

        Where attention is masked across documents, a text does not see that <eos>: it is read
        only by an empty text, and its position is used again. A prompt of ids may bring the
        <eos> with it.
        """
        eos, ids = self.tokenizer.eos_id, list(request.prompt)
        if ids[:1] == [eos]:
            ids = ids[1:]
        room = self.context - 1 - len(ids)
        if self.sees_last_document:
            return Text(request, self.tokenizer, [eos, *ids], 0, room)
        return Text(request, self.tokenizer, ids or [eos], 0 if ids else 1, room)

    def _soon_cached(self, text: Text) -> bool:
        """Whether another text is just reading much of what this one begins with."""
        if text.request.score_prompt:
            return False
        reading = [t for t in self.texts if t.n_read < t.n_prompt]
        soon = max((common_prefix(t.ids, text.ids) for t in reading), default=0)
        return soon >= WORTH_WAITING and soon - self.slots.cached(text.ids)[0] >= WORTH_WAITING

    def _rows(self) -> tuple[Rows, list[tuple[Text, int]]]:
        """What the next step reads, and of which texts, with the number of wanted logits."""
        rows, parts, room = Rows(), [], PROMPT_ROWS
        for text in self.texts:
            n = text.unread
            if n > 1 or text.n_read < text.n_prompt:
                n = min(n, room)
                room -= n
            if not n:
                continue
            before = len(rows.wanted)
            for place in range(text.n_read, text.n_read + n):
                wanted = text.request.score_prompt or place + 1 == len(text.ids)
                rows.add(text.slot.number, text.ids[place], text.position(place), wanted)
            if not text.shift:
                text.slot.ids += text.ids[text.n_read : text.n_read + n]
            text.n_read += n
            parts.append((text, len(rows.wanted) - before))
        return rows, parts

    def _after_reading(self, text: Text, logits: np.ndarray) -> Iterator[tuple[Request, Event]]:
        """Keep log-probabilities of the prompt's ids; its end is reported."""
        request = text.request
        if text.n_read > text.n_prompt:
            return
        if request.score_prompt:
            first = text.n_read - len(logits) + 1
            following = text.ids[first : first + len(logits)]
            text.scores += [
                self._new_token(row, token, request.n_likely)
                for row, token in zip(logits, following)
            ]
        if not text.unread:
            # What has nothing before it has no probability.
            first = request.prompt[: len(request.prompt) - len(text.scores)]
            unknown = [NewToken(0, token) for token in first] if request.score_prompt else []
            yield request, PromptRead((*unknown, *text.scores), text.cached)

    def _choose(self, text: Text, logits: np.ndarray) -> NewToken | None:
        """The next id of a text from its logits, (V,); None: they are not finite."""
        request, scores = text.request, logits[: self.tokenizer.vocab_size]
        if not np.isfinite(scores).all():
            return None
        token = int(choose(scores[None], [text.state], request.sampling)[0])
        return self._new_token(logits, token, request.n_likely)

    def _continue(self, text: Text, new: NewToken | None) -> Iterator[tuple[Request, Event]]:
        """A text goes on with an id, or ends."""
        request = text.request
        if new is None:
            yield from self._end(text, NOT_FINITE)
            return
        if new.token in request.end_ids:
            yield from self._end(text, "<eos>")
            return
        text.ids.append(new.token)
        text.state.add(new.token)
        text.written += 1
        for piece in text.text.push(new):
            yield request, piece
        if text.text.stops.found:
            yield from self._end(text, repr(text.text.stops.found))
        elif text.written == request.sampling.max_new_tokens:
            yield from self._end(text, "max_new_tokens")
        elif text.written == text.room:
            yield from self._end(text, "context")

    def _end(self, text: Text, reason: str) -> Iterator[tuple[Request, Event]]:
        for piece in text.text.rest():
            yield text.request, piece
        self._leave(text)
        yield text.request, End(reason, text.written)

    def _leave(self, text: Text) -> None:
        text.slot.taken = False
        self.texts.remove(text)

    def _new_token(self, logits: np.ndarray, token: int, n_likely: int | None) -> NewToken:
        """An id with its log-probability in logits, (V,), and those of the most likely ids.

        Rows that only pad the table have their share of the probability, as in the loss.
        """
        if n_likely is None:
            return NewToken(0, token)
        ids = likeliest(logits[: self.tokenizer.vocab_size], n_likely).tolist()
        log_prob, *others = log_probabilities(logits, [token, *ids]).tolist()
        return NewToken(0, token, log_prob, tuple(zip(ids, others)))
