"""Counts for Prometheus (text form), in a registry of their own."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from generation.batching import Batch
from serving.engine import Engine

PREFIX = "baby_llama"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
PATHS = (
    "/v1/completions",
    "/v1/chat/completions",
    "/v1/models",
    "/models",
    "/tokenize",
    "/detokenize",
    "/tokenizer_info",
    "/health",
    "/metrics",
)


class Metrics:
    """What a server counts."""

    def __init__(self):
        self.registry = CollectorRegistry()
        of = {"registry": self.registry}
        self.requests = Counter(
            f"{PREFIX}_requests", "Requests answered, by path and status.", ["path", "status"], **of
        )
        self.seconds = Histogram(
            f"{PREFIX}_request_seconds", "From a request's headers to the end of its answer.",
            ["path"], buckets=SECONDS, **of,
        )  # fmt: skip
        self.first = Histogram(
            f"{PREFIX}_first_token_seconds", "From taking a text on to its first new text.",
            ["model"], buckets=SECONDS, **of,
        )  # fmt: skip
        self.tokens = Counter(
            f"{PREFIX}_tokens", "Tokens of prompts, those found in the cache, and new ones.",
            ["model", "kind"], **of,
        )  # fmt: skip
        self.running = Gauge(f"{PREFIX}_running", "Texts being written.", ["model"], **of)
        self.waiting = Gauge(f"{PREFIX}_waiting", "Texts that wait for a slot.", ["model"], **of)

    def watch(self, engine: Engine) -> None:
        """Tell how full the batches of an engine are when asked."""
        batches: Mapping[str, Batch] = engine.batches
        for name, batch in batches.items():
            self.running.labels(name).set_function(lambda batch=batch: len(batch.texts))
            self.waiting.labels(name).set_function(lambda batch=batch: len(batch.waiting))

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request; paths that do not exist are one."""
        path = path if path in PATHS else "other"
        self.requests.labels(path, str(int(status))).inc()
        self.seconds.labels(path).observe(seconds)

    def written(self, model: str, prompt: int, cached: int, new: int) -> None:
        """Count the tokens of a text."""
        for kind, n in (("prompt", prompt), ("cached", cached), ("new", new)):
            self.tokens.labels(model, kind).inc(n)

    def text(self) -> bytes:
        """All in Prometheus' text form."""
        return generate_latest(self.registry)
