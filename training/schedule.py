"""The learning rate as a pure function of the optimizer step."""

import numpy as np

from training.config import TrainConfig


def cosine(progress: np.ndarray, config: TrainConfig) -> np.ndarray:
    """Half a cosine (SGDR, arXiv:1608.03983, without restarts)."""
    return 0.5 * (1 + np.cos(np.pi * progress))


def linear(progress: np.ndarray, config: TrainConfig) -> np.ndarray:
    """A straight line."""
    return 1 - progress


def warmup_stable_decay(progress: np.ndarray, config: TrainConfig) -> np.ndarray:
    """The peak, then a straight line in the last `decay_ratio` (MiniCPM, arXiv:2404.06395)."""
    return np.minimum(1, (1 - progress) / config.decay_ratio)


SCHEDULES = {"cosine": cosine, "linear": linear, "wsd": warmup_stable_decay}
"""From 1 down to 0 as progress after the warm-up goes from 0 to 1."""


def learning_rates(config: TrainConfig) -> np.ndarray:
    """Learning rate of each of the `max_steps` optimizer steps, (max_steps,) float32.

    Linear warm-up that reaches the peak at step `warmup_steps - 1` (the first step already
    learns), then the schedule's decay, which ends at `min_lr_ratio` times the peak on the last
    step.
    """
    step = np.arange(config.max_steps, dtype=np.float64)
    warmup = (step + 1) / max(config.warmup_steps, 1)
    horizon = max(config.max_steps - config.warmup_steps, 1)
    progress = np.clip((step + 1 - config.warmup_steps) / horizon, 0, 1)
    share = SCHEDULES[config.schedule](progress, config)
    decayed = config.min_lr_ratio + (1 - config.min_lr_ratio) * share
    return (config.learning_rate * np.minimum(warmup, decayed)).astype(np.float32)


def describe_schedule(config: TrainConfig) -> str:
    """The schedule in words, for reports."""
    falls = {
        "cosine": "then a cosine",
        "linear": "then a straight line",
        "wsd": f"held there until a straight line over the last {config.decay_ratio:.0%}",
    }
    return (
        f"learning rate up to {config.learning_rate:g} in {config.warmup_steps:,} steps, "
        f"{falls[config.schedule]} down to {config.learning_rate * config.min_lr_ratio:g}"
    )
