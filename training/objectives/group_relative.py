"""Group-relative policy optimisation (GRPO, arXiv:2402.03300) on sampled completions."""

from mindspore import ops

from model.llama import Llama
from training.objectives.clipped_gain import ClippedGain
from training.objectives.config import GrpoConfig
from training.objectives.policy import PolicyObjective


class GroupRelative(PolicyObjective):
    """The clipped policy gradient with a penalty on leaving the reference model.

    For each new id of a completion, with lp its log-probability now and ref under the reference
    model, `ClippedGain`'s gain for the advantage of its completion, w its loss weight:

        kl   = exp(ref - lp) - (ref - lp) - 1                   (k3 estimator of KL(policy || ref))
        loss = -gain + beta kl

    and the step's loss is sum(w loss) / sum(row_count). The feed chooses w and row_count: ids
    count alike (w 1, row_count the ids of the completion), completions count alike (w 1 / ids,
    row_count 1), or a constant divides (w 1 / limit, row_count 1; Dr. GRPO, arXiv:2503.20783).
    """

    columns = (
        "tokens", "targets", "loss_weight", "segment_ids",
        "advantages", "row_count", "old_log_probs", "reference_log_probs",
    )  # fmt: skip
    measures = ("kl", "clipped")

    def __init__(self, network: Llama, config: GrpoConfig):
        super().__init__(network, config)
        self.gain, self.beta = ClippedGain(config), config.beta

    def construct(
        self,
        tokens,
        targets,
        loss_weight,
        segment_ids,
        advantages,
        row_count,
        old_log_probs,
        reference_log_probs,
        row_keys=None,
    ):
        """Columns are (B, T), but advantages and row_count, (B,); log-probabilities are float32."""
        log_probs, _ = self.log_probs(tokens, targets, segment_ids, row_keys)
        advantage = ops.broadcast_to(advantages.expand_dims(1), targets.shape)
        gain, clipped = self.gain(log_probs, old_log_probs, advantage)
        difference = reference_log_probs - log_probs
        kl = ops.exp(difference) - difference - 1.0
        return (
            ops.reduce_sum((self.beta * kl - gain) * loss_weight),
            ops.reduce_sum(row_count),
            (ops.reduce_sum(kl * loss_weight), ops.reduce_sum(clipped * loss_weight)),
        )
