"""What objectives share that weigh how likely the network finds each target: DPO, GRPO, PPO."""

from model.head import token_log_probs
from model.llama import Llama
from training.objectives.base import Objective
from training.objectives.config import ObjectiveConfig


class PolicyObjective(Objective):
    """An objective on the log-probabilities of the targets."""

    def __init__(self, network: Llama, config: ObjectiveConfig):
        super().__init__(network, config)
        frozen = not network.output.requires_grad
        self.token_log_probs = token_log_probs(network.head, frozen_table=frozen)

    def log_probs(self, tokens, targets, segment_ids, row_keys=None):
        """Log-probability of each target in nats, (B, T) float32, from columns of (B, T) int32.

        Also the hidden states that it was computed from, (B T, D).
        """
        network = self.network
        h = network(tokens, segment_ids, row_keys)
        found = self.token_log_probs(h, network.output, targets.reshape(-1))
        return found.reshape(targets.shape), h
