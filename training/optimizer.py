"""AdamW with bias correction and decoupled decay (arXiv:1711.05101), whole or shared by ranks."""

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore import dtype as mstype

from training.config import TrainConfig
from training.parallel import World


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
        self.m = ParameterTuple([self.moment(p, "adam_m.") for p in parameters])
        self.v = ParameterTuple([self.moment(p, "adam_v.") for p in parameters])
        self.decays = tuple(config.weight_decay * float(p.ndim > 1) for p in parameters)
        self.beta1, self.beta2, self.eps = config.beta1, config.beta2, config.adam_eps
        self.kernel = ops.AdamWeightDecay()

    def moment(self, parameter: Parameter, prefix: str) -> Parameter:
        """A zero tensor shaped like `parameter`, saved under its name with a prefix."""
        zeros = Tensor(np.zeros(parameter.shape, np.float32))
        return Parameter(zeros, name=prefix + parameter.name, requires_grad=False)

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
        """The kernel's formula on weight i."""
        weight, m, v = self.weights[i], self.m[i], self.v[i]
        self.kernel(weight, m, v, lr, self.beta1, self.beta2, eps, decay, gradient)

    @property
    def n_bytes(self) -> int:
        """Memory of the moments on this rank."""
        return sum(p.nbytes for p in (*self.m, *self.v))

    def moment_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the whole moments by name."""
        return {
            p.name: weight.shape
            for p, weight in zip((*self.m, *self.v), (*self.weights, *self.weights))
        }

    def moments(self) -> dict[str, np.ndarray]:
        """Copies of the whole moments by name; all ranks must call it together."""
        return {p.name: p.asnumpy().copy() for p in (*self.m, *self.v)}

    def set_moments(self, values: dict[str, np.ndarray]) -> None:
        """Take whole moments by name, as `moments` gives them."""
        for p in (*self.m, *self.v):
            p.set_data(Tensor(values[p.name]))


class ShardedAdamW(AdamW):
    """The same with the moments shared among the ranks (ZeRO stage 1, arXiv:1910.02054).

    Of each weight, seen as a flat array, a rank updates an equal part and keeps the moments of
    that part only; then the parts are gathered. Weights that cannot be parted evenly, which are
    vectors at most, are updated by every rank.
    """

    def __init__(self, parameters, config: TrainConfig, world: World):
        self.world = world
        super().__init__(parameters, config)
        self.gather = ops.AllGather()

    def is_parted(self, parameter) -> bool:
        """Whether each rank keeps only a part of the moments of `parameter`."""
        return parameter.size % self.world.size == 0

    def part(self, flat):
        """This rank's part of a flat array."""
        size = flat.shape[0] // self.world.size
        return flat[self.world.rank * size : (self.world.rank + 1) * size]

    def moment(self, parameter: Parameter, prefix: str) -> Parameter:
        """Zeros for this rank's part of `parameter`."""
        if not self.is_parted(parameter):
            return super().moment(parameter, prefix)
        zeros = Tensor(np.zeros(parameter.size // self.world.size, np.float32))
        return Parameter(zeros, name=prefix + parameter.name, requires_grad=False)

    def update(self, i, gradient, lr, eps, decay):
        """The kernel's formula on this rank's part of weight i, then all parts for all ranks."""
        weight, m, v = self.weights[i], self.m[i], self.v[i]
        if m.shape == weight.shape:
            self.kernel(weight, m, v, lr, self.beta1, self.beta2, eps, decay, gradient)
            return
        gradient, old = self.part(gradient.reshape(-1)), self.part(weight.reshape(-1))
        ops.assign(m, m * self.beta1 + gradient * (1.0 - self.beta1))
        ops.assign(v, v * self.beta2 + ops.square(gradient) * (1.0 - self.beta2))
        new = old - lr * (m / (ops.sqrt(v) + eps) + decay * old)
        ops.assign(weight, self.gather(new).reshape(weight.shape))

    def moments(self) -> dict[str, np.ndarray]:
        """Copies of the whole moments by name; all ranks must call it together."""
        whole = {}
        for p, weight in zip((*self.m, *self.v), (*self.weights, *self.weights)):
            value = self.gather(Tensor(p)) if self.is_parted(weight) else p
            whole[p.name] = value.asnumpy().reshape(weight.shape).copy()
        return whole

    def set_moments(self, values: dict[str, np.ndarray]) -> None:
        """Keep this rank's part of whole moments."""
        for p, weight in zip((*self.m, *self.v), (*self.weights, *self.weights)):
            value = values[p.name]
            own = self.part(value.reshape(-1)) if self.is_parted(weight) else value
            p.set_data(Tensor(own))


def make_optimizer(parameters, config: TrainConfig, world: World) -> AdamW:
    """The optimizer of this rank."""
    if config.shard_optimizer and world.size > 1:
        return ShardedAdamW(parameters, config, world)
    return AdamW(parameters, config)
