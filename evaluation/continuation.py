"""Continuations of prompts as text that appears while it is generated."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.errors import UserError
from evaluation.config import EvalConfig
from model.cache import Decoder
from model.generation import Generation, Sampling
from model.llama import Llama
from tokenizer.tokenizer import Tokenizer

UNFINISHED = "\ufffd"
"""What a tokenizer decodes the first bytes of a character to, until the last one is there."""


@dataclass(frozen=True)
class Continuation:
    """What a model made of a prompt."""

    prompt: str
    text: str
    """new text only"""
    tokens: int
    """new tokens"""
    stopped_by: str
    """<eos>, max_new_tokens or context"""
    seconds: float
    """from the first token of the prompt to the last new one"""


class TextStream:
    """Turns ids into text as they come: whole characters, and only what is new.

    New ids are decoded together with those before them, because a piece on its own loses the
    space or the bytes that it shares with its neighbours.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()):
        """`before` are the ids that the new ones follow; their text is not shown."""
        self.tokenizer, self.ids = tokenizer, list(before)
        self.shown = len(tokenizer.decode(self.ids))

    def push(self, token: int) -> str:
        """The text that an id completes; empty within a character."""
        self.ids.append(token)
        text = self.tokenizer.decode(self.ids)
        return "" if text.endswith(UNFINISHED) else self._new(text)

    def rest(self) -> str:
        """What is left when no id follows, with unfinished characters as U+FFFD."""
        return self._new(self.tokenizer.decode(self.ids))

    def _new(self, text: str) -> str:
        new, self.shown = text[self.shown :], len(text)
        return new


class Writer:
    """Continues prompts with one model."""

    def __init__(self, network: Llama, tokenizer: Tokenizer, config: EvalConfig):
        """Compile the decoder, so that continuations are timed without it."""
        self.decoder, self.tokenizer = Decoder(network), tokenizer
        self.decoder.begin(tokenizer.eos_id)
        self.sampling = Sampling(
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            repetition_penalty=config.repetition_penalty,
            max_new_tokens=config.max_new_tokens,
            seed=config.seed,
        )

    def write(self, prompt: str, show: Callable[[str], None]) -> Continuation:
        """Continue a prompt, passing each new bit of text to `show`.

        Raises:
            UserError: the prompt does not fit the context, or the model's scores are not finite.
        """
        ids, eos_id = self.tokenizer.encode(prompt), self.tokenizer.eos_id
        stream, texts = TextStream(self.tokenizer, ids), []
        start = time.perf_counter()
        try:
            generation = Generation(
                self.decoder, ids, self.sampling, eos_id, self.tokenizer.vocab_size
            )
            for token in generation:
                texts.append(stream.push(token))
                show(texts[-1])
        except ValueError as error:
            raise UserError(str(error)) from error
        seconds, tokens = time.perf_counter() - start, len(texts)
        texts.append(stream.rest())
        show(texts[-1])
        return Continuation(prompt, "".join(texts), tokens, generation.stopped_by, seconds)
