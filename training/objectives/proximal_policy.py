"""Proximal policy optimisation (PPO, arXiv:1707.06347) on sampled completions."""

from mindspore import Tensor, ops
from mindspore import dtype as mstype

from model.llama import Llama
from training.objectives.clipped_gain import ClippedGain
from training.objectives.config import PpoConfig
from training.objectives.policy import PolicyObjective


class ProximalPolicy(PolicyObjective):
    """The clipped policy gradient, and a value head that learns what reward is still to come.

    For each new id of a completion, with `ClippedGain`'s gain, v the value head's number before
    the id is chosen, v_old the same when the completion was sampled, R its return:

        v_near     = v_old + clip(v - v_old, -value_clip, value_clip)
        value_loss = max((v - R)^2, (v_near - R)^2) / 2
        loss       = -gain + value_coef value_loss

    and the step's loss is its mean over all new ids. Advantages and returns are the feed's
    (`training.feeds.actor_critic`); the penalty on leaving the reference model is in them.
    """

    columns = (
        "tokens", "targets", "loss_weight", "segment_ids",
        "advantages", "returns", "row_count", "old_log_probs", "old_values",
    )  # fmt: skip
    measures = ("value_loss", "clipped")

    def __init__(self, network: Llama, config: PpoConfig):
        super().__init__(network, config)
        self.gain, self.value_coef = ClippedGain(config), config.value_coef
        self.clips_values = config.value_clip is not None
        if self.clips_values:
            self.farthest = Tensor(config.value_clip, mstype.float32)

    def construct(
        self,
        tokens,
        targets,
        loss_weight,
        segment_ids,
        advantages,
        returns,
        row_count,
        old_log_probs,
        old_values,
        row_keys=None,
    ):
        """Columns are (B, T), but row_count, (B,): the number of ids that a row counts for."""
        log_probs, h = self.log_probs(tokens, targets, segment_ids, row_keys)
        gain, clipped = self.gain(log_probs, old_log_probs, advantages)
        values = self.network.values(h).reshape(targets.shape)
        errors = ops.square(values - returns)
        if self.clips_values:
            moved = ops.clip_by_value(values - old_values, -self.farthest, self.farthest)
            errors = ops.maximum(errors, ops.square(old_values + moved - returns))
        value_losses = 0.5 * errors
        return (
            ops.reduce_sum((self.value_coef * value_losses - gain) * loss_weight),
            ops.reduce_sum(row_count),
            (ops.reduce_sum(value_losses * loss_weight), ops.reduce_sum(clipped * loss_weight)),
        )
