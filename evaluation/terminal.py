"""Continuations on a terminal: text that appears while it is written, and a dialogue."""

import contextlib
from collections.abc import Iterator

from common.errors import UserError
from evaluation.continuation import Continuation, Writer


def play(writer: Writer, prompt: str) -> Continuation:
    """Print a prompt and its continuation.

    Raises:
        UserError: the prompt cannot be continued.
    """
    print(f"\n{prompt} ->", flush=True)
    result = writer.write(prompt, show=lambda text: print(text, end="", flush=True))
    speed = result.tokens / result.seconds
    print(f"\n({result.tokens} tokens, {speed:.0f} tokens/s, stopped by {result.stopped_by})")
    return result


def converse(writer: Writer) -> None:
    """Continue what is typed, until Ctrl-C; a prompt that does not fit is told and passed over."""
    with contextlib.suppress(KeyboardInterrupt):
        for prompt in ask_prompts():
            try:
                play(writer, prompt)
            except UserError as error:
                print(f"error: {error}")


def ask_prompts() -> Iterator[str]:
    """Lines from standard input, until one is empty or the input ends."""
    try:
        while prompt := input("> "):
            yield prompt
    except EOFError:
        print()
