"""The optimizers by the native kernels: all weights in a pass, from one buffer of gradients.

Weights and moments have the names and shapes of the plain forms, so a run may change from one form
to the other. A step whose gradient is not finite is left out by the kernel itself. Each cell is
called with (factor, good, lr, step, done): what the gradients in the buffer are to be multiplied
by, 1 or 0 for whether they are finite, and a number that says they are there; it returns one.

Both halves of an update (model/native/optimizer.py) work in the buffer, so ranks that share the
moments have only its parts to send each other, between the halves; no weight is sent.
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.native.cells import one_number, operator
from model.native.gradients import GradientBuffer
from model.native.places import OWN_SIZE, PLACES, SIZE
from training.config import TrainConfig
from training.optimizers.adamw import AdamW
from training.optimizers.base import Optimizer
from training.optimizers.muon import Muon
from training.parallel import World


class NativeAdamW(AdamW):
    """AdamW: a kernel for all moments, and one for all weights."""

    def __init__(self, parameters, config: TrainConfig, sharers: World, buffer, exchange):
        super().__init__(parameters, config, sharers)
        self.decay = config.weight_decay
        self.numbers = places_of(self, buffer, self.m)
        self.places = Tensor(self.numbers, mstype.int64)
        self.gather_parts = gathering(self.numbers, exchange)
        self.take_moments = operator("adamw", one_number)
        self.descend = operator("descend", one_number)

    def scalars(self, factor, good, lr, step):
        """What the kernels take, (7,)."""
        t = step.astype(mstype.float32) + 1.0
        root_c2 = ops.sqrt(1.0 - ops.pow(self.beta2, t))
        ratio = root_c2 / (1.0 - ops.pow(self.beta1, t))
        betas = ops.ones_like(lr) * self.beta1, ops.ones_like(lr) * self.beta2
        return ops.stack((factor, good, lr * ratio, self.decay / ratio, *betas, self.eps * root_c2))

    def first_half(self, scalars, done):
        """Gradients into moments, directions into the buffer."""
        return self.take_moments(scalars, self.places, done, *self.m, *self.v)

    def second_half(self, scalars, done):
        """Directions into weights."""
        return self.descend(scalars, self.places, done, *self.weights)

    def construct(self, factor, good, lr, step, done):
        """Apply one update."""
        scalars = self.scalars(factor, good, lr, step)
        return self.second_half(scalars, self.gather_parts(self.first_half(scalars, done)))


class NativeMuon(Muon):
    """Muon: the momentum of all matrices by one kernel, then each matrix by one core."""

    def __init__(self, parameters, config: TrainConfig, sharers: World, buffer, exchange):
        super().__init__(parameters, config, sharers)
        others = [parameters[i] for i in self.others]
        self.adamw = NativeAdamW(others, config, sharers, buffer, exchange)
        numbers = places_of(self, buffer, self.m)
        self.places = Tensor(numbers, mstype.int64)
        self.gather_parts = gathering(np.concatenate((numbers, self.adamw.numbers)), exchange)
        self.take_momentum = operator("momentum", one_number)
        self.apply = operator("muon", one_number)

    def construct(self, factor, good, lr, step, done):
        """Apply one update."""
        adamw_scalars = self.adamw.scalars(factor, good, lr, step)
        constants = ops.ones_like(lr) * self.decay, ops.ones_like(lr) * self.momentum
        scalars = ops.stack((factor, good, lr, *constants))
        done = self.adamw.first_half(adamw_scalars, done)
        done = self.gather_parts(self.take_momentum(scalars, self.places, done, *self.m))
        done = self.adamw.second_half(adamw_scalars, done)
        return self.apply(scalars, self.places, done, *self.weights)


def gathering(places: np.ndarray, exchange: nn.Cell) -> nn.Cell:
    """The cell by which ranks that share the moments gather the parts of some places."""
    parted = places[places[:, OWN_SIZE] < places[:, SIZE]]
    return exchange.gathering(parted) if len(parted) else nn.Identity()


def places_of(optimizer: Optimizer, buffer: GradientBuffer, moments) -> np.ndarray:
    """`PLACES` numbers for each weight of an optimizer; see model/native/places.py."""
    numbers = []
    for weight, moment in zip(optimizer.weights, moments):
        first = optimizer.sharers.rank * moment.size if moment.size < weight.size else 0
        decayed = int(weight.ndim > 1)
        numbers.append((buffer.address(weight), weight.size, moment.size, first, decayed))
    return np.array(numbers, np.int64).reshape(-1, PLACES)


NATIVE_OPTIMIZERS = {"adamw": NativeAdamW, "muon": NativeMuon}
"""The optimizers by the names that recipes give them."""
