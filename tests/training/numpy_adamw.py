"""AdamW (arXiv:1711.05101, algorithm 2) in numpy float64, the reference of ours."""

import numpy as np


class NumpyAdamW:
    """Decays tensors of two or more dimensions; `update` changes `weights`, a list, in place."""

    def __init__(self, weights, config):
        self.weights = [np.array(w, np.float64) for w in weights]
        self.config, self.t = config, 0
        self.m = [np.zeros_like(w) for w in self.weights]
        self.v = [np.zeros_like(w) for w in self.weights]

    def update(self, gradients, lr):
        self.t += 1
        beta1, beta2 = self.config.beta1, self.config.beta2
        for w, m, v, gradient in zip(self.weights, self.m, self.v, gradients):
            m[:] = beta1 * m + (1 - beta1) * gradient
            v[:] = beta2 * v + (1 - beta2) * gradient**2
            m_hat, v_hat = m / (1 - beta1**self.t), v / (1 - beta2**self.t)
            decay = self.config.weight_decay if w.ndim > 1 else 0
            w -= lr * (m_hat / (np.sqrt(v_hat) + self.config.adam_eps) + decay * w)
