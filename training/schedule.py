"""The learning rate as a pure function of the optimizer step."""

import numpy as np

from training.config import TrainConfig


def learning_rates(config: TrainConfig) -> np.ndarray:
    """Learning rate of each of the `max_steps` optimizer steps, (max_steps,) float32.

    Linear warm-up that reaches the peak at step `warmup_steps - 1` (the first step already
    learns), then half a cosine that ends at `min_lr_ratio` times the peak on the last step
    (SGDR, arXiv:1608.03983, without restarts).
    """
    step = np.arange(config.max_steps, dtype=np.float64)
    warmup = (step + 1) / max(config.warmup_steps, 1)
    horizon = max(config.max_steps - config.warmup_steps, 1)
    progress = np.clip((step + 1 - config.warmup_steps) / horizon, 0, 1)
    cosine = 0.5 * (1 + np.cos(np.pi * progress))
    decayed = config.min_lr_ratio + (1 - config.min_lr_ratio) * cosine
    return (config.learning_rate * np.minimum(warmup, decayed)).astype(np.float32)
