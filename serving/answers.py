"""Answers in the forms of OpenAI's interface: whole, and in pieces as they are written."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from generation.generation import NewToken
from generation.request import NOT_FINITE, End, Event, PromptRead
from generation.writer import Piece
from serving.engine import ERROR
from serving.errors import ApiError
from serving.metrics import Metrics
from serving.token_names import TokenNames

LENGTH_REASONS = ("max_new_tokens", "context", "time")


@dataclass
class Choice:
    """One text of an answer, as far as it has come."""

    index: int
    prompt: str | None
    """shown before the text; None: it is not"""
    n_prompt: int
    """ids of the prompt"""
    text: str = ""
    tokens: list[NewToken] = field(default_factory=list)
    cached: int = 0
    n_new: int = 0
    finish_reason: str | None = None


class Answer:
    """The state of an answer; `take` makes a piece of each event, `whole` the answer at the end."""

    object = piece_object = "text_completion"
    prefix = "cmpl"

    def __init__(self, model: str, names: TokenNames, choices: Sequence[Choice], log_probs: bool):
        self.names, self.choices, self.log_probs = names, choices, log_probs
        self.begin = time.monotonic()
        self.head = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def take(self, index: int, event: Event) -> dict[str, Any] | None:
        """Note an event; the piece of the stream that it makes, if any.

        Raises:
            ApiError: the model cannot go on.
        """
        choice = self.choices[index]
        if isinstance(event, End):
            return self._end(choice, event)
        if isinstance(event, PromptRead):
            choice.cached = event.cached
            if choice.prompt is None:
                return None
            return self._piece(choice, choice.prompt, event.tokens)
        if not isinstance(event, Piece) or not (event.text or self.log_probs):
            return None
        return self._piece(choice, event.text, event.tokens)

    def _end(self, choice: Choice, event: End) -> dict[str, Any]:
        if event.reason == ERROR:
            raise ApiError(500, "the server had an unexpected error")
        if event.reason == NOT_FINITE:
            raise ApiError(500, "the model's logits are not finite numbers: its training diverged")
        if event.reason == "time" and not choice.text:
            raise ApiError(503, "the server had no time for the request; try again later")
        choice.n_new = event.tokens
        choice.finish_reason = "length" if event.reason in LENGTH_REASONS else "stop"
        return self._chunk([self._choice_piece(choice, "", ())])

    def _piece(self, choice: Choice, text: str, tokens: Sequence[NewToken]) -> dict[str, Any]:
        found = self._chunk([self._choice_piece(choice, text, tokens)])
        choice.text += text
        choice.tokens += tokens
        return found

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return self.head | {"object": self.piece_object, "choices": choices} | more

    def usage_piece(self) -> dict[str, Any]:
        """The last piece of a stream, if usage is asked for."""
        return self._chunk([], usage=self.usage())

    def usage(self) -> dict[str, Any]:
        """Tokens read and written; a prompt of several choices counts once for each text of it."""
        prompt = sum(choice.n_prompt for choice in self.choices)
        new = sum(choice.n_new for choice in self.choices)
        cached = sum(choice.cached for choice in self.choices)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": new,
            "total_tokens": prompt + new,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def whole(self) -> dict[str, Any]:
        """The answer in one."""
        choices = [self._whole_choice(choice) for choice in self.choices]
        return self.head | {"object": self.object, "choices": choices, "usage": self.usage()}

    def count(self, metrics: Metrics) -> None:
        """Tell the metrics what was written, when it is complete."""
        for choice in self.choices:
            metrics.written(self.head["model"], choice.n_prompt, choice.cached, choice.n_new)

    def _choice_piece(
        self, choice: Choice, text: str, tokens: Sequence[NewToken]
    ) -> dict[str, Any]:
        return {
            "index": choice.index,
            "text": text,
            "logprobs": self._log_probs(choice, tokens, len(choice.text)),
            "finish_reason": choice.finish_reason,
        }

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        return self._choice_piece(choice, choice.text, choice.tokens) | {
            "logprobs": self._log_probs(choice, choice.tokens, 0)
        }

    def _log_probs(
        self, choice: Choice, tokens: Sequence[NewToken], offset: int
    ) -> dict[str, Any] | None:
        if not self.log_probs:
            return None
        return self.names.completion(tokens, offset)


class ChatAnswer(Answer):
    """The same as messages of a chat; white space around an answer is left out."""

    object, piece_object, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def __init__(
        self,
        model: str,
        names: TokenNames,
        choices: Sequence[Choice],
        log_probs: bool,
        sources: Sequence[dict[str, Any]] = (),
    ):
        """`sources` are the passages that the model was shown."""
        super().__init__(model, names, choices, log_probs)
        self.sources = {"sources": list(sources)} if sources else {}
        self.held = [""] * len(choices)

    def _piece(self, choice: Choice, text: str, tokens: Sequence[NewToken]) -> dict[str, Any]:
        """White space is held back until something follows it."""
        text = self.held[choice.index] + text
        shown = text.rstrip()
        self.held[choice.index] = text[len(shown) :]
        return super()._piece(choice, shown if choice.text else shown.lstrip(), tokens)

    def whole(self) -> dict[str, Any]:
        """The answer in one."""
        return super().whole() | self.sources

    def opening(self) -> dict[str, Any]:
        """The first piece of a stream: who speaks."""
        delta = {"role": "assistant", "content": ""}
        return self._chunk(
            [
                {"index": c.index, "delta": delta, "logprobs": None, "finish_reason": None}
                for c in self.choices
            ],
            **self.sources,
        )

    def _choice_piece(
        self, choice: Choice, text: str, tokens: Sequence[NewToken]
    ) -> dict[str, Any]:
        return {
            "index": choice.index,
            "delta": {"content": text} if text else {},
            "logprobs": self._log_probs(choice, tokens, 0) if tokens else None,
            "finish_reason": choice.finish_reason,
        }

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        return {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": self._log_probs(choice, choice.tokens, 0),
            "finish_reason": choice.finish_reason,
        }

    def _log_probs(
        self, choice: Choice, tokens: Sequence[NewToken], offset: int
    ) -> dict[str, Any] | None:
        return self.names.chat(tokens) if self.log_probs else None


def event_line(value: dict[str, Any] | str) -> str:
    """A server-sent event."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {text}\n\n"
