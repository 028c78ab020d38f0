"""Our model as one that EleutherAI's lm-eval can examine; no PyTorch."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from tqdm import tqdm

from evaluation.config import EvalConfig
from evaluation.scoring import Scorer
from generation.writer import Writer

SECONDS_PER_LINE = 30
MAX_NEW_TOKENS = 256
"""Where a task does not say how many, as in lm-eval's own models."""


class LlamaLM(LM):
    """Answers lm-eval's three kinds of request with one model."""

    def __init__(self, scorer: Scorer, writer: Writer):
        super().__init__()
        self.scorer, self.writer, self.tokenizer = scorer, writer, writer.tokenizer

    def fits(self, text: str) -> bool:
        """Whether a text, <eos> before and one id of an answer after it fit the model's context."""
        return len(self.tokenizer.encode(text)) + 2 <= self.scorer.context

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy decoding would write it."""
        pairs = [self.split(*request.args) for request in requests]
        with Progress("scoring answers", len(pairs)) as progress:
            found = self.scorer.continuations(pairs, progress.show)
        return [(likelihood.total, likelihood.is_greedy) for likelihood in found]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-probability of each whole text, read from its beginning."""
        pairs = [([], self.tokenizer.encode(request.args[0])) for request in requests]
        with Progress("scoring texts", len(pairs)) as progress:
            return [found.total for found in self.scorer.continuations(pairs, progress.show)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The continuation of each text up to a stop text; greedy unless the task samples.

        A text that leaves no room for its continuation loses its beginning.
        """
        texts = []
        for request in requests:
            context, options = request.args
            config = generation_config(options, self.scorer.context // 2)
            ids = self.tokenizer.encode(context)
            room = self.scorer.context - 1 - config.max_new_tokens
            if len(ids) > room:
                context = self.tokenizer.decode(ids[-room:])
            kept, self.writer.config = self.writer.config, config
            try:
                texts.append(self.writer.write(context, lambda text: None).text)
            finally:
                self.writer.config = kept
        return texts

    def split(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of both, tokenised together, because pieces may join across the border.

        Spaces at the end of the context go to the continuation, where vocabularies have them.
        """
        stripped = context.rstrip(" ")
        continuation = context[len(stripped) :] + continuation
        before = self.tokenizer.encode(stripped)
        return before, self.tokenizer.encode(stripped + continuation)[len(before) :]


def generation_config(options: Mapping[str, Any], longest: int) -> EvalConfig:
    """lm-eval's generation arguments as ours; at most `longest` new tokens."""
    stop = options.get("until") or []
    sampled = options.get("do_sample", False)
    return EvalConfig(
        max_new_tokens=min(longest, options.get("max_gen_toks", MAX_NEW_TOKENS)),
        temperature=options.get("temperature", 1.0) if sampled else 0.0,
        top_k=options.get("top_k", 0),
        top_p=options.get("top_p", 1.0),
        repetition_penalty=1.0,
        stop=[text for text in ([stop] if isinstance(stop, str) else stop) if text],
    )


class Progress:
    """How many of `total` requests are answered: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, title: str, total: int):
        self.title, self.total = title, total
        self.begin = self.said = time.monotonic()
        self.bar = tqdm(total=total, desc=title, leave=False, disable=not sys.stderr.isatty())

    def __enter__(self) -> "Progress":
        """Return itself."""
        return self

    def __exit__(self, *error) -> None:
        """Remove the bar."""
        self.bar.close()

    def show(self, done: int) -> None:
        """Note that `done` requests are answered."""
        self.bar.update(done - self.bar.n)
        now = time.monotonic()
        if self.bar.disable and now - self.said > SECONDS_PER_LINE:
            self.said = now
            print(
                f"{self.title}: {done:,} of {self.total:,}, {now - self.begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
