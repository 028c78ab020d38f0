"""The course of a training from its records: losses against tokens, time and computation."""

import math
import statistics
from dataclasses import dataclass, field

from corpus.manifest import Manifest
from model.adapters import training_flops
from runs.run import Run


@dataclass(frozen=True)
class Curve:
    """Losses in order; the four lists are of one length."""

    tokens: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def scaled(self, factor: float) -> "Curve":
        """The same with losses in another unit."""
        return Curve(self.tokens, self.seconds, self.flops, [loss * factor for loss in self.losses])


@dataclass(frozen=True)
class History:
    """What metrics.jsonl says of a run."""

    training: Curve
    held_out: Curve
    """in nats a token"""
    held_out_bits: Curve
    """the same in bits a byte, where they were recorded"""
    seconds: float
    """in training steps, over all resumptions; without evaluation and saving"""
    tokens_per_s: float
    """median of the log intervals; 0 where none was recorded"""


def read_history(run: Run) -> History:
    """Gather the records; a loss that was not finite is left out."""
    per_token = training_flops(run.recipe.model, run.recipe.adapter)
    training, held_out, bits = Curve(), Curve(), Curve()
    seconds, last, speeds = 0.0, 0, []
    for record in run.metrics():
        tokens = record["step"] * run.recipe.train.tokens_per_step
        if record.get("tokens_per_s"):
            speeds.append(record["tokens_per_s"])
            seconds += (tokens - last) / speeds[-1]
            last = tokens
        for curve, key in ((training, "loss"), (held_out, "val_loss"), (bits, "bits_per_byte")):
            loss = record.get(key)
            if loss is not None and math.isfinite(loss):
                curve.tokens.append(tokens)
                curve.seconds.append(seconds)
                curve.flops.append(tokens * per_token)
                curve.losses.append(loss)
    speed = statistics.median(speeds) if speeds else 0.0
    return History(training, held_out, bits, seconds, speed)


def bits_per_nat(manifest: Manifest) -> float:
    """Turns nats a token into bits a byte of the text that a manifest counts."""
    return manifest.tokens / manifest.text_bytes / math.log(2)
