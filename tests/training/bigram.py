"""The smallest objective that a training step takes, with its gradient in numpy."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from training.objectives.base import Objective

V, ROWS, TIME = 6, 4, 5


class Bigram(Objective):
    """Scores of the next id: a row of a table, plus a bias; their gradients pass `half`, or not."""

    def __init__(self, half: bool = False):
        nn.Cell.__init__(self)
        rng = np.random.default_rng(0)
        self.table = Parameter(Tensor(rng.standard_normal((V, V)).astype(np.float32)))
        self.bias = Parameter(Tensor(rng.standard_normal(V).astype(np.float32)))
        self.type = mstype.float16 if half else mstype.float32

    def construct(self, tokens, targets, loss_weight, segment_ids):
        scores = ops.gather(self.table, tokens.reshape(-1), 0) + self.bias
        scores = scores.astype(self.type).astype(mstype.float32)
        losses = ops.cross_entropy(scores, targets.reshape(-1), reduction="none")
        loss_sum = ops.reduce_sum(losses * loss_weight.reshape(-1))
        return loss_sum, ops.reduce_sum(loss_weight), ()


def numpy_bigram(table, bias, tokens, targets, loss_weight, segment_ids):
    """Mean loss, and the gradients of table and bias."""
    tokens, targets, weight = tokens.reshape(-1), targets.reshape(-1), loss_weight.reshape(-1, 1)
    scores = (table[tokens] + bias).astype(np.float64)
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    one_hot = np.eye(V)[targets]
    loss = -(weight[:, 0] * np.log((p * one_hot).sum(-1))).sum()
    dscores = weight * (p - one_hot)
    dtable = np.zeros((V, V))
    np.add.at(dtable, tokens, dscores)
    total = weight.sum()
    return loss / total, [dtable / total, dscores.sum(0) / total]


def bigram_batch(seed: int = 0) -> list[np.ndarray]:
    """Tokens, targets, loss weights (some 0) and segment ids."""
    rng = np.random.default_rng(seed)
    tokens, targets = rng.integers(0, V, (2, ROWS, TIME)).astype(np.int32)
    weight = rng.choice([0.0, 0.5, 1.0], (ROWS, TIME)).astype(np.float32)
    return [tokens, targets, weight, np.zeros_like(tokens)]
