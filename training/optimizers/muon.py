"""Muon: momentum made orthogonal for the matrices of the blocks, AdamW for all else.

K. Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024; the scale that lets
learning rate and decay carry over from AdamW is Moonlight's (arXiv:2502.16982).
"""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from training.config import TrainConfig
from training.optimizers.adamw import AdamW
from training.optimizers.base import Optimizer
from training.parallel import World

# A round maps a singular value s to a s + b s^3 + c s^5; five bring all from 0.003 on to about 1.
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 5
ADAMW_RMS = 0.2
"""Root mean square of AdamW's updates, in learning rates."""


class Muon(Optimizer):
    """Updates its weights in place; called with (gradients, lr, step), step counting from 0.

        m = momentum m + g,  w -= lr (0.2 sqrt(max(rows, columns)) O(g + momentum m) + decay w)

    for the matrices of the blocks, where O(X) = U V^T of X = U S V^T. Embedding, output layer,
    norm weights and biases are AdamW's. Ranks that share the moments each do the whole of O.
    """

    def __init__(self, parameters, config: TrainConfig, sharers: World):
        chosen = [i for i, p in enumerate(parameters) if is_block_matrix(p)]
        others = [i for i in range(len(parameters)) if i not in chosen]
        super().__init__([parameters[i] for i in chosen], sharers)
        self.chosen, self.others = tuple(chosen), tuple(others)
        self.m = self.zeros("muon_m.")
        self.adamw = AdamW([parameters[i] for i in others], config, sharers)
        self.momentum, self.decay = config.muon_momentum, config.weight_decay
        self.scales = tuple(ADAMW_RMS * max(p.shape) ** 0.5 for p in self.weights)
        cells = {p.shape: Orthogonal(*p.shape) for p in self.weights}
        self.orthogonal = nn.CellList([cells[p.shape] for p in self.weights])

    def all_weights(self) -> list[Parameter]:
        """Its own and AdamW's."""
        return [*self.weights, *self.adamw.weights]

    def moment_pairs(self) -> list[tuple[Parameter, Parameter]]:
        """Muon's, then AdamW's."""
        return [*zip(self.m, self.weights), *self.adamw.moment_pairs()]

    def construct(self, gradients, lr, step):
        """Apply one update; gradients in the order of the parameters, lr and step scalars."""
        self.adamw([gradients[i] for i in self.others], lr, step)
        for i, weight in enumerate(self.weights):
            direction = self.orthogonal[i](self.advance(i, gradients[self.chosen[i]]))
            keep = 1.0 - lr * self.decay
            ops.assign(weight, weight * keep - direction * (lr * self.scales[i]))

    def advance(self, i, gradient):
        """Take the gradient of weight i into its momentum; returns Nesterov's look ahead."""
        m = self.m[i] * self.momentum + self.own(gradient)
        ops.assign(self.m[i], m)
        return gradient + self.whole(m, gradient.shape) * self.momentum


class Orthogonal(nn.Cell):
    """About U V^T of a matrix X = U S V^T, (rows, columns).

    The Newton-Schulz iteration X <- (a + b Q + c Q^2) X with Q = X X^T, written as
    X <- ((r Q + s)^2 + d) X for r = sqrt(c), s = b / 2r and d = a - s^2. As X is scaled by sqrt(r)
    throughout, a round is three products and two sums. Where columns are the shorter side,
    Q = X^T X stands on the right.
    """

    def __init__(self, rows: int, columns: int):
        super().__init__()
        root, one = C**0.5, np.eye(min(rows, columns), dtype=np.float32)
        self.scale, self.tall = root**0.5, rows > columns
        self.shift, self.rest = Tensor(one * (B / (2 * root))), Tensor(one * (A - B * B / (4 * C)))
        self.gram = ops.MatMul(transpose_a=self.tall, transpose_b=not self.tall)
        self.product = ops.MatMul()

    def construct(self, x):
        """Map x to a matrix of its shape whose singular values are about 1."""
        length = ops.sqrt(ops.reduce_sum(ops.reduce_sum(ops.square(x), -1)))
        x = x * (self.scale / (length + 1e-7))
        for _ in range(ROUNDS):
            q = self.gram(x, x) + self.shift
            p = self.product(q, q) + self.rest
            x = self.product(x, p) if self.tall else self.product(p, x)
        return x / self.scale


def is_block_matrix(parameter: Parameter) -> bool:
    """Whether Muon is for it: not the tables, whose rows are used one at a time."""
    return parameter.ndim == 2 and parameter.name.startswith("layers.")
