"""What every objective is: a cell from the columns of a batch to a sum, its count and measures."""

from mindspore import nn

from model.llama import Llama
from training.objectives.config import ObjectiveConfig


class Objective(nn.Cell):
    """Called with the columns of a micro-batch, returns (loss_sum, denominator, measures).

    `TrainStep` adds all three up over the micro-batches of a step and over the ranks. The loss
    is loss_sum / denominator, and so is its gradient; a record shows each measure divided by the
    denominator under its name in `measures`. All are float32 scalars, `measures` is a tuple.
    """

    columns: tuple[str, ...]
    """names of the inputs, in order; each has a row of the micro-batch along its first axis"""
    measures: tuple[str, ...] = ()
    """names of what is summed beside the loss"""

    def __init__(self, network: Llama, config: ObjectiveConfig | None = None):
        """The network's parameters keep their names; `config` is the recipe's section."""
        super().__init__(auto_prefix=False)
        self.network, self.section = network, config

    def accumulating_into(self, buffer) -> "Objective":
        """The same for training with native kernels, which add gradients to a `GradientBuffer`.

        It is another cell, since what it does in the forward pass is not for an evaluation.
        """
        twin = type(self)(self.network, self.section)
        for _, cell in twin.cells_and_names():
            if hasattr(cell, "accumulate_into"):
                cell.accumulate_into(buffer)
        return twin
