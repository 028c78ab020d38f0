"""A reward model, learned from pairs of answers by the model of Bradley and Terry (1952)."""

from mindspore import dtype as mstype
from mindspore import ops

from model.llama import Llama
from training.objectives.base import Objective
from training.objectives.config import RewardConfig
from training.objectives.pairs import preference_loss, segment_sums, sides


class PairReward(Objective):
    """Gives the chosen answer a higher number than the rejected one (arXiv:2203.02155).

    The number r(y) of a prompt with its answer y is the value head's output at its last id:

        d    = r(chosen) - r(rejected)
        loss = -log sigmoid(d - margin)

    and the step's loss is its mean over the pairs. A pair is right where d is above 0.
    """

    columns = ("tokens", "ends", "segment_ids", "present")
    measures = ("accuracy", "margin", "chosen_reward", "rejected_reward")

    def __init__(self, network: Llama, config: RewardConfig):
        super().__init__(network, config)
        self.wanted = config.margin

    def construct(self, tokens, ends, segment_ids, present, row_keys=None):
        """Rows alternate: chosen, rejected. The first three columns are (B, T), `present` (B, P).

        `segment_ids` are the numbers of a row's pairs, 0 to P - 1 at most; `ends` is 1 at the last
        id of each sequence, `present` for each pair there is.
        """
        network = self.network
        values = network.values(network(tokens, segment_ids, row_keys)).reshape(tokens.shape)
        rewards = segment_sums(values * ends, segment_ids, present.shape[1])
        chosen, rejected = sides(rewards)
        weight, difference = sides(present)[0], chosen - rejected
        losses = preference_loss(difference - self.wanted, 0.0)
        right = ops.greater(difference, 0.0).astype(mstype.float32)
        sums = [
            ops.reduce_sum(measure * weight) for measure in (right, difference, chosen, rejected)
        ]
        return ops.reduce_sum(losses * weight), ops.reduce_sum(weight), tuple(sums)
