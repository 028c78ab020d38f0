"""One training step as one compiled graph: loss, gradient, clipping, update."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from common.memory import return_freed_memory
from model.dropout import row_keys
from training.config import TrainConfig
from training.gradients import NativeGradients, PlainGradients
from training.objectives.base import Objective
from training.parallel import World
from training.prepared import PreparedRun
from training.schedule import learning_rates

GROWTH_INTERVAL = 1000
"""Good steps in a row after which the loss scale of float16 doubles."""
MAX_LOSS_SCALE = 2.0**24


class ScaledLoss(nn.Cell):
    """An objective's summed loss times the loss scale, for the gradient, and all of its sums."""

    def __init__(self, objective: Objective, loss_scale: Parameter):
        super().__init__(auto_prefix=False)
        self.objective, self.loss_scale = objective, loss_scale

    def construct(self, *batch):
        """(scaled loss, sums) of a batch; sums are loss, denominator and measures, one tensor."""
        loss, denominator, measures = self.objective(*batch)
        return loss * self.loss_scale, ops.stack((loss, denominator, *measures))


class TrainStep(nn.Cell):
    """Called with a micro-batch, returns (loss, grad_norm, lr, bad_steps) of its optimizer step.

    If the objective has measures, their values follow as one tensor, in the order of their names.

    With the objective's sums over `micro_batches` calls and all ranks, S the loss scale:

        loss = sum(loss_sum) / sum(denominator)
        g    = sum(gradient of S * loss_sum) / (S * sum(denominator))
        g   <- g * min(1, grad_clip / (norm(g) + 1e-6))

    so neither the split into micro-batches nor the number of ranks matters.
    A step whose gradient is not finite changes no weight and no moment; it counts in `bad_steps`,
    and with float16 it halves the loss scale (mixed precision training, arXiv:1710.03740). The
    state of the run (step, loss scale) lives in Parameters, so that a checkpoint of this cell
    holds all of it; load one before the first call.
    """

    def __init__(
        self,
        objective: Objective,
        config: TrainConfig,
        micro_batches: int = 1,
        dynamic_scale: bool = False,
        world: World | None = None,
        drops: bool = False,
        native: bool = False,
    ):
        """`drops`: the objective takes keys of the network's dropout as one more input.

        `native`: its network has the native kernels, and so has the update.
        """
        super().__init__(auto_prefix=False)
        self.micro_batches, self.dynamic_scale = micro_batches, dynamic_scale
        self.grad_clip = config.grad_clip
        self.loss_scale = _state("loss_scale", config.loss_scale if dynamic_scale else 1.0)
        self.step = _state("step", 0, mstype.int32)
        self.updates = _state("updates", 0, mstype.int32)
        self.good_steps = _state("good_steps", 0, mstype.int32)
        self.bad_steps = _state("bad_steps", 0, mstype.int32)
        self.learning_rates = Tensor(learning_rates(config))
        self.first_compilation = True
        self.has_measures = len(objective.measures) > 0
        self.drops, self.seed, self.world = drops, config.seed % 2**31, world or World()
        form = NativeGradients if native else PlainGradients
        self.gradients = form(objective, config, micro_batches, self.world)
        self.optimizer = self.gradients.optimizer
        loss = ScaledLoss(self.gradients.objective, self.loss_scale)
        self.grad = ops.value_and_grad(loss, None, self.gradients.weights, has_aux=True)
        if micro_batches > 1:
            self.micro = _state("micro", 0, mstype.int32)
            n_sums = 2 + len(objective.measures)
            self.sums = _state("accumulated_sums", np.zeros(n_sums, np.float32))

    def compile(self, *batch, **options):
        """Compile for a batch, as the first call does, and return what only that took."""
        super().compile(*batch, **options)
        if self.first_compilation:
            return_freed_memory()
            self.first_compilation = False

    @property
    def compile_phase(self):
        """The name under which the step is compiled; MindSpore tells it every cell at each call.

        Of some hundred cells that takes a millisecond, so they are told only another name.
        """
        return self._compile_phase

    @compile_phase.setter
    def compile_phase(self, value):
        if value != self._compile_phase:
            nn.Cell.compile_phase.fset(self, value)

    def construct(self, *batch):
        """Accumulate one micro-batch, the objective's columns; update when the step's last is in.

        Returns scalars, and the measures, (measures,), if there are any.
        """
        if self.drops:
            batch += (self.dropout_keys(batch[0].shape[0]),)
        (_, sums), gradients = self.grad(*batch)
        if self.micro_batches == 1:
            return self.update(*self.gradients.of_one(gradients, sums))
        if self.micro == 0:
            ops.assign(self.sums, ops.depend(sums, self.gradients.begin(gradients)))
        else:
            ops.assign_add(self.sums, ops.depend(sums, self.gradients.add(gradients)))
        ops.assign_add(self.micro, 1)
        result = self.outputs(self.sums, self.loss_scale, self.loss_scale)
        if self.micro == self.micro_batches:
            result = self.update(*self.gradients.of_all(self.sums))
            ops.assign(self.micro, 0)
        return result

    def dropout_keys(self, rows):
        """Keys for the dropout of this micro-batch of so many rows: (rows,) int32."""
        places = ops.arange(rows).astype(mstype.int32)
        if self.micro_batches > 1:
            places = places + self.micro * rows
        places = places * self.world.size + self.world.rank
        return row_keys(self.seed, self.step, places)

    def update(self, gradients, sums):
        """Clip to the norm, and let the optimizer change the weights; all ranks' are given."""
        unscale = 1.0 / (sums[1] * self.loss_scale)
        norm = self.gradients.norm(gradients) * unscale
        lr = self.learning_rates[self.step]
        factor = unscale * ops.minimum(1.0, self.grad_clip / (norm + 1e-6))
        if self.gradients.skips_bad_steps:
            norm = self.gradients.apply(gradients, factor, norm, lr, self.updates)
        if ops.isfinite(norm):
            if not self.gradients.skips_bad_steps:
                norm = self.gradients.apply(gradients, factor, norm, lr, self.updates)
            ops.assign_add(self.updates, 1)
            ops.assign(self.bad_steps, 0)
            ops.assign_add(self.good_steps, 1)
            if self.dynamic_scale and self.good_steps == GROWTH_INTERVAL:
                ops.assign(self.loss_scale, ops.minimum(self.loss_scale * 2.0, MAX_LOSS_SCALE))
                ops.assign(self.good_steps, 0)
        else:
            ops.assign_add(self.bad_steps, 1)
            ops.assign(self.good_steps, 0)
            if self.dynamic_scale:
                ops.assign(self.loss_scale, ops.maximum(self.loss_scale * 0.5, 1.0))
        ops.assign_add(self.step, 1)
        return self.outputs(sums, norm, lr)

    def outputs(self, sums, norm, lr):
        """What a call returns, from the sums of the step."""
        if self.has_measures:
            return sums[0] / sums[1], norm, lr, self.bad_steps, sums[2:] / sums[1]
        return sums[0] / sums[1], norm, lr, self.bad_steps

    def counters(self) -> list[Parameter]:
        """The state of the run beside weights and moments.

        Between two steps, where checkpoints are, the next micro-batch begins new sums.
        """
        return [self.loss_scale, self.step, self.updates, self.good_steps, self.bad_steps]


def _state(name: str, value, dtype=mstype.float32) -> Parameter:
    """A Parameter that is saved with the run but not trained."""
    return Parameter(Tensor(value, dtype), name=name, requires_grad=False)


def make_step(prepared: PreparedRun, objective: Objective) -> TrainStep:
    """The training step of an objective, its state as before the first step."""
    half = prepared.dtype == mstype.float16
    drops = prepared.model.dropout > 0 or prepared.run.recipe.adapter.dropout > 0
    return TrainStep(
        objective, prepared.config, prepared.micro_batches, half, prepared.world, drops,
        prepared.native,
    )  # fmt: skip
