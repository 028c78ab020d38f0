"""What becomes of a step's gradients: their sum over micro-batches and ranks, norm and update.

There are two forms: the plain one, of MindSpore's operators, and that of the native kernels, which
have the gradients in one flat buffer from the start. Weights and moments are the same Parameters in
both.
"""

from mindspore import ParameterTuple, nn, ops

from training.config import TrainConfig
from training.objectives.base import Objective
from training.optimizers.registry import make_optimizer
from training.parallel import World, all_reduce_sum, gradient_reducer
from training.shared_memory import SharedMemory

_square_sum = ops.MultitypeFuncGraph("square_sum")
_scaled = ops.MultitypeFuncGraph("scaled")


@_square_sum.register("Tensor")
def _square_sum_of(x):
    # Rows first: the CPU's sum over all axes at once runs on one core, and loses digits.
    return ops.reduce_sum(ops.reduce_sum(ops.square(x), -1))


@_scaled.register("Tensor", "Tensor")
def _scaled_by(factor, x):
    return x * factor


class PlainGradients(nn.Cell):
    """Gradients as a tuple of tensors; `weights` are what a loss is differentiated by."""

    skips_bad_steps = False
    """whether `apply` does nothing by itself where the norm is not finite"""

    def __init__(self, objective: Objective, config: TrainConfig, micro_batches: int, world: World):
        super().__init__(auto_prefix=False)
        self.objective = objective
        self.weights = ParameterTuple(objective.trainable_params())
        self.optimizer = make_optimizer(self.weights, config, world)
        self.reduce, self.reduce_sums = gradient_reducer(self.weights), all_reduce_sum()
        self.map = ops.HyperMap()
        if micro_batches > 1:
            self.accumulated = self.weights.clone("accumulated", init="zeros")

    def begin(self, gradients):
        """Take the gradients of the first micro-batch of a step; returns nothing of use."""
        for accumulated, gradient in zip(self.accumulated, gradients):
            ops.assign(accumulated, gradient)
        return True

    def add(self, gradients):
        """Add those of a later one."""
        for accumulated, gradient in zip(self.accumulated, gradients):
            ops.assign_add(accumulated, gradient)
        return True

    def of_one(self, gradients, sums):
        """Those of a step of one micro-batch, and its sums, over all ranks."""
        return self.reduce(gradients), self.reduce_sums(sums)

    def of_all(self, sums):
        """The same of all micro-batches; `sums` are known when the gradients are added."""
        return self.reduce(self.accumulated), self.reduce_sums(sums)

    def norm(self, gradients):
        """sqrt(sum g^2) over all weights."""
        return ops.sqrt(ops.addn(self.map(_square_sum, gradients)))

    def apply(self, gradients, factor, norm, lr, step):
        """Let the optimizer update the weights by factor * gradients."""
        self.optimizer(self.map(ops.partial(_scaled, factor), gradients), lr, step)
        return norm

    def release(self):
        """They are Parameters, if they are kept at all."""


class NativeGradients(nn.Cell):
    """Gradients in a `GradientBuffer`, to which the kernels add them as they compute them.

    What stands for the gradients here is a number that says they are in the buffer.
    """

    skips_bad_steps = True

    def __init__(self, objective: Objective, config: TrainConfig, micro_batches: int, world: World):
        from model.native.gradients import GradientBuffer
        from training.exchange import make_exchange

        super().__init__(auto_prefix=False)
        trained, memory = objective.trainable_params(), SharedMemory(world)
        self.buffer = GradientBuffer(trained, objective.network.output, world.size, memory.allocate)
        self.exchange = make_exchange(self.buffer, world, memory)
        self.objective = objective.accumulating_into(self.buffer)
        self.weights = ParameterTuple([self.buffer.start, *self.buffer.unclaimed()])
        self.optimizer = make_optimizer(
            ParameterTuple(trained), config, world, self.buffer, self.exchange
        )

    def begin(self, gradients):
        """The kernels have added those of the weights they know; add the others."""
        return self.buffer(gradients[0], gradients[1:])

    add = begin

    def of_one(self, gradients, sums):
        """A number that says the buffer has those of all ranks, after one micro-batch; the sums."""
        return self.exchange(ops.depend(sums, self.begin(gradients)))

    def of_all(self, sums):
        """The same after several; `sums` are known when all are added."""
        return self.exchange(sums)

    def norm(self, gradients):
        """sqrt(sum g^2) over all weights."""
        return ops.sqrt(self.buffer.square_norm(self.buffer.whole, gradients).reshape(()))

    def apply(self, gradients, factor, norm, lr, step):
        """Update the weights by factor * gradients, and make the buffer zero again."""
        good = ops.isfinite(norm).astype(norm.dtype)
        done = self.optimizer(factor, good, lr, step, gradients)
        return ops.depend(norm, self.buffer.clear(self.buffer.whole, done))

    def release(self):
        """Give the buffer's memory back; nothing may be computed any more."""
        self.buffer.memory = None
