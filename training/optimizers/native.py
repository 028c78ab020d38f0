"""The optimizers by the native kernels: all weights in a pass, from one buffer of gradients.

Weights and moments have the names and shapes of the plain forms, so a run may change from one form
to the other. A step whose gradient is not finite is left out by the kernel itself. Each cell is
called with (factor, good, lr, step, done): what the gradients in the buffer are to be multiplied
by, 1 or 0 for whether they are finite, and a number that says they are there; it returns one.
Ranks that share the moments take the plain forms: a graph that also assigns to a weight gives the
kernels a copy of it.
"""

import numpy as np
from mindspore import Tensor, ops
from mindspore import dtype as mstype

from model.native.cells import operator
from model.native.gradients import GradientBuffer
from training.config import TrainConfig
from training.optimizers.adamw import AdamW
from training.optimizers.muon import Muon
from training.parallel import World


def one_number(*shapes):
    """The shape of a kernel's only output."""
    return (1,)


class NativeAdamW(AdamW):
    """AdamW in one kernel; see model/native/optimizer.py."""

    def __init__(self, parameters, config: TrainConfig, sharers: World, buffer: GradientBuffer):
        super().__init__(parameters, config, sharers)
        self.decay = config.weight_decay
        self.places = Tensor(places_of(self, buffer, self.m), mstype.int64)
        self.apply = operator("adamw", one_number)

    def construct(self, factor, good, lr, step, done):
        """Apply one update."""
        t = step.astype(mstype.float32) + 1.0
        root_c2 = ops.sqrt(1.0 - ops.pow(self.beta2, t))
        ratio = root_c2 / (1.0 - ops.pow(self.beta1, t))
        betas = ops.ones_like(lr) * self.beta1, ops.ones_like(lr) * self.beta2
        scalars = ops.stack(
            (factor, good, lr * ratio, self.decay / ratio, *betas, self.eps * root_c2)
        )
        moments = (*self.weights, *self.m, *self.v)
        return self.apply(scalars, self.places, done, *moments)


class NativeMuon(Muon):
    """Muon in two kernels: the momentum of all matrices, then each matrix by one core."""

    def __init__(self, parameters, config: TrainConfig, sharers: World, buffer: GradientBuffer):
        super().__init__(parameters, config, sharers)
        others = [parameters[i] for i in self.others]
        self.adamw = NativeAdamW(others, config, sharers, buffer)
        self.places = Tensor(places_of(self, buffer, self.m), mstype.int64)
        self.advance_all = operator("momentum", one_number)
        self.apply = operator("muon", one_number)

    def construct(self, factor, good, lr, step, done):
        """Apply one update."""
        done = self.adamw(factor, good, lr, step, done)
        constants = ops.ones_like(lr) * self.decay, ops.ones_like(lr) * self.momentum
        scalars = ops.stack((factor, good, lr, *constants))
        done = self.advance_all(scalars, self.places, done, *self.m)
        return self.apply(scalars, self.places, done, *self.weights, *self.m)


def places_of(optimizer, buffer: GradientBuffer, moments) -> np.ndarray:
    """Four numbers for each weight of an optimizer; see model/native/optimizer.py."""
    numbers = []
    for weight, moment in zip(optimizer.weights, moments):
        own = optimizer.sharers.rank * moment.size if moment.size < weight.size else 0
        numbers += [buffer.address(weight), moment.size, own, int(weight.ndim > 1)]
    return np.array(numbers, np.int64)


NATIVE_OPTIMIZERS = {"adamw": NativeAdamW, "muon": NativeMuon}
