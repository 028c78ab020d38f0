"""AdamW with bias correction and decoupled decay (arXiv:1711.05101)."""

from mindspore import Parameter, ops
from mindspore import dtype as mstype

from training.config import TrainConfig
from training.optimizers.base import Optimizer
from training.parallel import World


class AdamW(Optimizer):
    """Updates its weights in place; called with (gradients, lr, step), step counting from 0.

    One fused kernel, `ops.AdamWeightDecay`, does the whole update, but without bias correction:

        w -= lr' (m / (sqrt(v) + eps') + decay' w)

    With c1 = 1 - beta1^t, c2 = 1 - beta2^t and t = step + 1 it becomes AdamW for
    lr' = lr sqrt(c2) / c1, eps' = eps sqrt(c2) and decay' = decay c1 / sqrt(c2).
    Matrices are decayed, vectors (norm weights, biases) are not.
    """

    def __init__(self, parameters, config: TrainConfig, sharers: World):
        super().__init__(parameters, sharers)
        self.m, self.v = self.zeros("adam_m."), self.zeros("adam_v.")
        self.decays = tuple(config.weight_decay * float(p.ndim > 1) for p in parameters)
        self.beta1, self.beta2, self.eps = config.beta1, config.beta2, config.adam_eps
        self.kernel = ops.AdamWeightDecay()

    def moment_pairs(self) -> list[tuple[Parameter, Parameter]]:
        """First moments, then second ones."""
        return [*zip(self.m, self.weights), *zip(self.v, self.weights)]

    def construct(self, gradients, lr, step):
        """Apply one update; gradients in the order of the parameters, lr and step scalars."""
        t = step.astype(mstype.float32) + 1.0
        root_c2 = ops.sqrt(1.0 - ops.pow(self.beta2, t))
        ratio = root_c2 / (1.0 - ops.pow(self.beta1, t))
        scaled_lr, eps = lr * ratio, self.eps * root_c2
        for i, gradient in enumerate(gradients):
            decay = self.decays[i] / ratio  # not lr / scaled_lr: the last lr may be 0
            self.update(i, gradient, scaled_lr, eps, decay)

    def update(self, i, gradient, lr, eps, decay):
        """The kernel's formula on weight i, or on this rank's part, then all parts for all."""
        weight, m, v = self.weights[i], self.m[i], self.v[i]
        if m.shape == weight.shape:
            self.kernel(weight, m, v, lr, self.beta1, self.beta2, eps, decay, gradient)
            return
        gradient, old = self.own(gradient), self.own(weight)
        ops.assign(m, m * self.beta1 + gradient * (1.0 - self.beta1))
        ops.assign(v, v * self.beta2 + ops.square(gradient) * (1.0 - self.beta2))
        new = old - lr * (m / (ops.sqrt(v) + eps) + decay * old)
        ops.assign(weight, self.whole(new, weight.shape))
