"""Muon as its write-up has it, in numpy float64, the reference of ours for one matrix."""

import numpy as np

A, B, C = 3.4445, -4.7750, 2.0315


def orthogonal(x: np.ndarray) -> np.ndarray:
    """Five rounds of the Newton-Schulz iteration, sides as they are."""
    x = x / (np.sqrt((x**2).sum()) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x


class NumpyMuon:
    """`update` changes `weight`, a matrix, in place."""

    def __init__(self, weight, config):
        self.weight, self.config = np.array(weight, np.float64), config
        self.m = np.zeros_like(self.weight)

    def update(self, gradient, lr):
        momentum = self.config.muon_momentum
        self.m[:] = momentum * self.m + gradient
        direction = orthogonal(gradient + momentum * self.m)
        scale = 0.2 * np.sqrt(max(self.weight.shape))
        self.weight -= lr * (scale * direction + self.config.weight_decay * self.weight)
