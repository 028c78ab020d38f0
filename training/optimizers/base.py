"""What all optimizers share: moments, whole or in parts, saved and loaded by name."""

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from training.parallel import World


class Optimizer(nn.Cell):
    """Weights and their moments; a subclass has `construct(gradients, lr, step)`, and
    `moment_pairs()`, a list of each moment with the weight that it belongs to.

    Where `sharers` are several ranks, they share the moments (ZeRO stage 1, arXiv:1910.02054): of
    each weight, seen as a flat array, a rank keeps those of an equal part. Weights that cannot be
    parted evenly, which are vectors at most, have theirs on every rank.
    """

    def __init__(self, parameters, sharers: World):
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(parameters)
        self.sharers = sharers
        self.gather = ops.AllGather() if sharers.size > 1 else None

    def zeros(self, prefix: str) -> ParameterTuple:
        """A moment of each weight, or this rank's part of it, named after it with a prefix."""
        return ParameterTuple(
            [
                Parameter(
                    Tensor(np.zeros(self.own(p.asnumpy()).shape, np.float32)),
                    name=prefix + p.name,
                    requires_grad=False,
                )
                for p in self.weights
            ]
        )

    def own(self, whole):
        """What this rank keeps of a moment of a weight's shape: itself, or a flat part of it."""
        if self.sharers.size == 1 or whole.size % self.sharers.size != 0:
            return whole
        size = whole.size // self.sharers.size
        return whole.reshape(-1)[self.sharers.rank * size : (self.sharers.rank + 1) * size]

    def whole(self, own, shape):
        """All ranks' parts together, in a weight's shape; all ranks must call it together."""
        return own if own.shape == shape else self.gather(own).reshape(shape)

    def all_weights(self) -> list[Parameter]:
        """Everything that is trained, which is what a checkpoint holds."""
        return list(self.weights)

    @property
    def n_bytes(self) -> int:
        """Memory of the moments on this rank."""
        return sum(moment.nbytes for moment, _ in self.moment_pairs())

    def moment_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the whole moments by name."""
        return {moment.name: weight.shape for moment, weight in self.moment_pairs()}

    def moments(self) -> dict[str, np.ndarray]:
        """Copies of the whole moments by name; all ranks must call it together."""
        return {
            moment.name: self.whole(Tensor(moment), weight.shape).asnumpy().copy()
            for moment, weight in self.moment_pairs()
        }

    def set_moments(self, values: dict[str, np.ndarray]) -> None:
        """Take whole moments by name, as `moments` gives them, or this rank's part of them."""
        for moment, _ in self.moment_pairs():
            moment.set_data(Tensor(self.own(values[moment.name])))
