"""Rotary position embedding (arXiv:2104.09864) in the rotate-half layout of Hugging Face.

With i = 0 ... C/2 - 1, the frequencies are f_i = theta^(-2i/C). For a context `factor` times as
long as the one of pretraining they are changed as `model.rope_scaling` says:

    linear (arXiv:2306.15595)   f_i / factor
    ntk (bloc97, 2023)          those of theta * factor^(C / (C - 2)): the slowest / factor, the
                                fastest as they were
    yarn (arXiv:2309.00071)     by how often a frequency turns within the old context: from 32 times
                                on as it was, up to once / factor, in between a mixture; cosines and
                                sines are multiplied by 0.1 ln(factor) + 1
"""

import dataclasses
import math

import numpy as np
from mindspore import nn, ops

from model.config import ModelConfig
from model.device import on_cpu

YARN_FAST, YARN_SLOW = 32, 1
"""Turns within the old context from which a frequency stays, and up to which it is divided"""


def rope_tables(config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of position * frequency, each (T, C/2) float32."""
    angles = np.outer(np.arange(config.max_seq_len), frequencies(config))
    size = 1.0
    if config.rope_scaling == "yarn":
        size = 0.1 * math.log(config.rope_factor) + 1
    return (size * np.cos(angles)).astype(np.float32), (size * np.sin(angles)).astype(np.float32)


def frequencies(config: ModelConfig) -> np.ndarray:
    """Radians a position of each pair, (C/2,) float64."""
    powers = -np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    plain = scaled_theta(config) ** powers
    if config.rope_scaling == "linear":
        return plain / config.rope_factor
    if config.rope_scaling != "yarn":
        return plain
    original = yarn_original_len(config)

    def pair_that_turns(times: float) -> float:
        # f_i * original = 2 pi times, solved for i.
        turns = original / (2 * math.pi * times)
        return config.head_dim * math.log(turns) / (2 * math.log(config.rope_theta))

    low = max(math.floor(pair_that_turns(YARN_FAST)), 0)
    high = min(math.ceil(pair_that_turns(YARN_SLOW)), config.head_dim - 1)
    ramp = (np.arange(config.head_dim // 2) - low) / max(high - low, 0.001)
    slowed = np.clip(ramp, 0, 1)
    return plain * (1 - slowed) + plain / config.rope_factor * slowed


def scaled_theta(config: ModelConfig) -> float:
    """The base of the angles; ntk is nothing but another one, here one that fits a float32."""
    if config.rope_scaling != "ntk":
        return config.rope_theta
    power = config.head_dim / (config.head_dim - 2)
    return float(np.float32(config.rope_theta * config.rope_factor**power))


def yarn_original_len(config: ModelConfig) -> int:
    """The context length of pretraining, as yarn counts it."""
    return config.rope_original_len or max(1, round(config.max_seq_len / config.rope_factor))


def plainly_stated(config: ModelConfig) -> ModelConfig:
    """The same angles as other programs state them: ntk as its base, yarn with its old context."""
    if config.rope_scaling == "ntk":
        return dataclasses.replace(
            config, rope_scaling="none", rope_factor=1.0, rope_theta=scaled_theta(config)
        )
    if config.rope_scaling == "yarn":
        return dataclasses.replace(config, rope_original_len=yarn_original_len(config))
    return config


def rotary() -> nn.Cell:
    """The form of the turn that suits the device target: a cell of (x, cos, sin)."""
    return CpuRotary() if on_cpu() else PlainRotary()


class PlainRotary(nn.Cell):
    """The reference form, its gradient derived automatically."""

    def __init__(self):
        super().__init__()
        self.halves = ops.Split(-1, 2)

    def turn(self, x, cos, sin):
        """Turn the pairs (x_i, x_{i + C/2}) by the angles whose cosines and sines are given.

        The tables are float32, so the turn is too; the result is in the type of x.
        """
        a, b = self.halves(x)
        return ops.concat((a * cos - b * sin, b * cos + a * sin), -1).astype(x.dtype)

    def construct(self, x, cos, sin):
        """Turn x, (B, H, T, C), by cos and sin, (T, C/2)."""
        return self.turn(x, cos, sin)


class CpuRotary(PlainRotary):
    """The same, keeping nothing for the gradient, which is the turn by the opposite angle."""

    def bprop(self, x, cos, sin, out, dout):
        """Gradient of x; the tables are constants."""
        return self.turn(dout, cos, -sin), ops.zeros_like(cos), ops.zeros_like(sin)
