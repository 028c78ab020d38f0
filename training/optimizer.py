"""AdamW with bias correction and decoupled decay (arXiv:1711.05101)."""

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore import dtype as mstype

from training.config import TrainConfig


class AdamW(nn.Cell):
    """Updates its weights in place; called with (gradients, lr, step), step counting from 0.

    One fused kernel, `ops.AdamWeightDecay`, does the whole update, but without bias correction:

        w -= lr' (m / (sqrt(v) + eps') + decay' w)

    With c1 = 1 - beta1^t, c2 = 1 - beta2^t and t = step + 1 it becomes AdamW for
    lr' = lr sqrt(c2) / c1, eps' = eps sqrt(c2) and decay' = decay c1 / sqrt(c2).
    Matrices are decayed, vectors (norm weights, biases) are not.
    """

    def __init__(self, parameters, config: TrainConfig):
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(parameters)
        self.m = ParameterTuple([_moment(p, "adam_m.") for p in parameters])
        self.v = ParameterTuple([_moment(p, "adam_v.") for p in parameters])
        self.decays = tuple(config.weight_decay * float(p.ndim > 1) for p in parameters)
        self.beta1, self.beta2, self.eps = config.beta1, config.beta2, config.adam_eps
        self.kernel = ops.AdamWeightDecay()

    def construct(self, gradients, lr, step):
        """Apply one update; gradients in the order of the parameters, lr and step scalars."""
        t = step.astype(mstype.float32) + 1.0
        root_c2 = ops.sqrt(1.0 - ops.pow(self.beta2, t))
        ratio = root_c2 / (1.0 - ops.pow(self.beta1, t))
        scaled_lr, eps = lr * ratio, self.eps * root_c2
        for i, gradient in enumerate(gradients):
            decay = self.decays[i] / ratio  # not lr / scaled_lr: the last lr may be 0
            self.kernel(
                self.weights[i],
                self.m[i],
                self.v[i],
                scaled_lr,
                self.beta1,
                self.beta2,
                eps,
                decay,
                gradient,
            )


def _moment(parameter: Parameter, prefix: str) -> Parameter:
    """A zero tensor shaped like `parameter`, saved under its name with a prefix."""
    zeros = Tensor(np.zeros(parameter.shape, np.float32))
    return Parameter(zeros, name=prefix + parameter.name, requires_grad=False)
