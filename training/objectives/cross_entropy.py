"""Next-token prediction: the objective of pretraining and of supervised fine-tuning."""

from mindspore import ops

from model.head import cross_entropy
from model.llama import Llama
from training.objectives.base import Objective
from training.objectives.config import ObjectiveConfig


class NextToken(Objective):
    """Mean of the cross-entropy in nats over the targets, weighted by `loss_weight`.

        loss = sum_i w_i * -log p(target_i | tokens up to i) / sum_i w_i

    In pretraining every w is 1; in supervised fine-tuning it is the loss mask, 1 on the answers.
    """

    columns = ("tokens", "targets", "loss_weight", "segment_ids")

    def __init__(self, network: Llama, config: ObjectiveConfig | None = None):
        super().__init__(network, config)
        frozen = not network.output.requires_grad
        self.cross_entropy = cross_entropy(network.head, frozen_table=frozen)

    def construct(self, tokens, targets, loss_weight, segment_ids, row_keys=None):
        """All columns are (B, T), loss_weight float32, the others int32.

        With row_keys, (B,) int32 from `dropout.row_keys`, elements are dropped.
        """
        network = self.network
        h = network(tokens, segment_ids, row_keys)
        weight = loss_weight.reshape(-1)
        loss_sum = self.cross_entropy(h, network.output, targets.reshape(-1), weight)[0]
        return loss_sum, ops.reduce_sum(loss_weight), ()
