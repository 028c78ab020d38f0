"""Continuations on a terminal: text that appears while it is written."""

from collections.abc import Callable

from generation.writer import Continuation, Writer


def play(writer: Writer, prompt: str, stopped: Callable[[], bool] = lambda: False) -> Continuation:
    """Print a prompt and its continuation, or several if `eval.attempts` asks for them.

    One alone appears while it is written, until `stopped` says so; several are written together.
    Returns the first.

    Raises:
        UserError: the prompt cannot be continued.
    """
    print(f"\n{prompt} ->", flush=True)
    if writer.config.attempts > 1:
        return _play_attempts(writer, prompt)
    result = writer.write(prompt, lambda text: print(text, end="", flush=True), stopped)
    speed = result.tokens / result.seconds if result.seconds else 0.0
    print(f"\n({result.tokens} tokens, {speed:.0f} tokens/s, stopped by {result.stopped_by})")
    _tell_log_probs(result)
    return result


def _play_attempts(writer: Writer, prompt: str) -> Continuation:
    results = writer.samples(prompt, writer.config.attempts)
    for number, result in enumerate(results, 1):
        print(
            f"{result.text}\n(attempt {number} of {len(results)}, {result.tokens} tokens, "
            f"stopped by {result.stopped_by})",
            flush=True,
        )
        _tell_log_probs(result)
    return results[0]


def _tell_log_probs(result: Continuation) -> None:
    if result.log_probs:
        each = " ".join(f"{log_prob:.2f}" for log_prob in result.log_probs)
        mean = sum(result.log_probs) / len(result.log_probs)
        print(f"(log-probabilities: {each}; mean {mean:.3f} nats)")
