"""Continuations of prompts as text that appears while it is generated."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from common.errors import UserError
from evaluation.config import EvalConfig
from generation.decoding import Decoder
from generation.generation import Generation, NewToken, lack_of_room
from generation.sampling import Sampling
from generation.text_stream import StopTexts, TextStream
from model.llama import Llama
from tokenizer.tokenizer import Tokenizer

INTERRUPTED = "interruption"


@dataclass(frozen=True)
class Continuation:
    """What a model made of a prompt."""

    prompt: str
    text: str
    """new text only"""
    tokens: int
    """new tokens"""
    stopped_by: str
    """<eos>, max_new_tokens, context, a stop text in quotes, or interruption"""
    seconds: float
    """from the first token of the prompt to the last new one, of all that were written together"""
    log_probs: tuple[float, ...] = ()
    """of each new token in nats, as the model has it; empty if not asked for"""


@dataclass(frozen=True)
class Piece:
    """A bit of new text, and the tokens that completed it."""

    row: int
    text: str
    tokens: tuple[NewToken, ...]


class RowText:
    """The text of one continuation so far."""

    def __init__(self, row: int, tokenizer: Tokenizer, prompt: Sequence[int], stops: Sequence[str]):
        self.row, self.stream, self.stops = row, TextStream(tokenizer, prompt), StopTexts(stops)
        self.waiting: list[NewToken] = []

    def push(self, new: NewToken) -> Iterator[Piece]:
        """The piece that a token completes, if it completes one."""
        self.waiting.append(new)
        text = self.stops.push(self.stream.push(new.token))
        if text:
            yield self._piece(text)

    def rest(self) -> Iterator[Piece]:
        """What is left when no token follows."""
        text = "" if self.stops.found else self.stops.push(self.stream.rest()) + self.stops.rest()
        if text or self.waiting:
            yield self._piece(text)

    def _piece(self, text: str) -> Piece:
        tokens, self.waiting = tuple(self.waiting), []
        return Piece(self.row, text, tokens)


class Writer:
    """Continues prompts with one model, as `config` says at the time."""

    def __init__(self, network: Llama, tokenizer: Tokenizer, config: EvalConfig):
        """Graphs are compiled when they are first needed, and kept."""
        self.decoder, self.tokenizer, self.config = Decoder(network), tokenizer, config

    @property
    def sampling(self) -> Sampling:
        """The part of `config` that the model knows."""
        return Sampling(**{f.name: getattr(self.config, f.name) for f in fields(Sampling)})

    def obstacle(self, prompt: str) -> str | None:
        """Why a prompt cannot be continued; None: it can."""
        return lack_of_room(len(self.tokenizer.encode(prompt)), self.decoder.max_seq_len)

    def write(
        self, prompt: str, show: Callable[[str], None], stopped: Callable[[], bool] = lambda: False
    ) -> Continuation:
        """Continue a prompt, passing each new bit of text to `show`, until `stopped` says so.

        Raises:
            UserError: the prompt does not fit the context, or the model's scores are not finite.
        """
        job = Writing(self, [prompt])
        self.decoder.warm_up(job.ids, self.sampling.max_new_tokens)
        for piece in job:
            show(piece.text)
            if stopped():
                job.interrupt()
        return job.results()[0]

    def samples(self, prompt: str, n: int) -> list[Continuation]:
        """n continuations of a prompt, `config.batch` at a time; the first is that of `write`.

        Raises:
            UserError: the prompt does not fit the context, or the model's scores are not finite.
        """
        return self.write_all([prompt] * n, range(n))

    def write_all(
        self, prompts: Sequence[str], samples: Sequence[int] | None = None
    ) -> list[Continuation]:
        """Continue several prompts, `config.batch` at a time, each as `write` would.

        `samples` numbers the random draws of each; None: all are the first of their prompt.

        Raises:
            UserError: a prompt does not fit the context, or the model's scores are not finite.
        """
        results, batch = [], self.config.batch
        samples = samples or [0] * len(prompts)
        for begin in range(0, len(prompts), batch):
            part = slice(begin, begin + batch)
            job = Writing(self, prompts[part], samples[part])
            for _ in job:
                pass
            results += job.results()
        return results


class Writing:
    """Several continuations in the making: iterate for their pieces, then ask for results."""

    def __init__(
        self,
        writer: Writer,
        prompts: Sequence[str],
        samples: Sequence[int] | None = None,
        n_likely: int | None = None,
    ):
        """`n_likely`: also give so many likely tokens in each place; None: as the config says.

        Raises:
            UserError: a prompt does not fit the context.
        """
        tokenizer, config = writer.tokenizer, writer.config
        for prompt in prompts:
            check_utf8(prompt)
        self.prompts, self.ids = prompts, [tokenizer.encode(prompt) for prompt in prompts]
        if n_likely is None and config.log_probs:
            n_likely = 0
        try:
            self.generation = Generation(
                writer.decoder,
                self.ids,
                writer.sampling,
                tokenizer.eos_id,
                (tokenizer.eos_id,),
                tokenizer.vocab_size,
                samples,
                n_likely,
            )
        except ValueError as error:
            raise UserError(str(error)) from error
        self.rows = [RowText(i, tokenizer, ids, config.stop) for i, ids in enumerate(self.ids)]
        self.pieces: list[list[Piece]] = [[] for _ in prompts]
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Piece]:
        """Yield text as it comes.

        Raises:
            UserError: the model's scores are not finite.
        """
        start = time.perf_counter()
        for piece in self._pieces():
            self.seconds = time.perf_counter() - start
            self.pieces[piece.row].append(piece)
            yield piece

    def _pieces(self) -> Iterator[Piece]:
        try:
            for new in self.generation:
                row = self.rows[new.row]
                yield from row.push(new)
                if row.stops.found:
                    self.generation.stop(new.row, repr(row.stops.found))
        except ValueError as error:
            raise UserError(str(error)) from error
        for row in self.rows:
            yield from row.rest()

    def interrupt(self) -> None:
        """End all that are not finished."""
        for row, reason in enumerate(self.generation.stopped_by):
            if not reason:
                self.generation.stop(row, INTERRUPTED)

    def results(self) -> list[Continuation]:
        """What became of each prompt."""
        return [self._result(row) for row in range(len(self.prompts))]

    def _result(self, row: int) -> Continuation:
        pieces = self.pieces[row]
        tokens = [new for piece in pieces for new in piece.tokens]
        return Continuation(
            prompt=self.prompts[row],
            text="".join(piece.text for piece in pieces),
            tokens=len(tokens),
            stopped_by=self.generation.stopped_by[row],
            seconds=self.seconds,
            log_probs=tuple(new.log_prob for new in tokens if new.log_prob is not None),
        )


def check_utf8(prompt: str) -> None:
    """Make sure that what was typed is text.

    Raises:
        UserError: it came as bytes that are not UTF-8.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"the prompt {prompt!r} is not UTF-8 text from character "
            f"{error.start + 1} on; give it in UTF-8"
        ) from error
