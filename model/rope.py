"""Rotary position embedding (arXiv:2104.09864) in the rotate-half layout of Hugging Face."""

import numpy as np
from mindspore import nn, ops

from model.device import on_cpu


def rope_tables(head_dim: int, max_seq_len: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of position * theta^(-2i/C), each (T, C/2) float32."""
    frequencies = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    angles = np.outer(np.arange(max_seq_len), frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


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
