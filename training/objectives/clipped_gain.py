"""The clipped policy gain of PPO (arXiv:1707.06347), which GRPO took over."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from training.objectives.config import OnPolicySection


class ClippedGain(nn.Cell):
    """What is won where ids become likelier that were better than others.

    For each id, lp its log-probability now, old when it was sampled, A its advantage:

        ratio = exp(lp - old)
        gain  = min(ratio A, clip(ratio, 1 - e, 1 + e_high) A)
    """

    def __init__(self, config: OnPolicySection):
        super().__init__()
        high = config.clip if config.clip_high is None else config.clip_high
        self.low = Tensor(1 - config.clip, mstype.float32)
        self.high = Tensor(1 + high, mstype.float32)

    def construct(self, log_probs, old_log_probs, advantages):
        """The gain, and 1 where the ratio is out of bounds, 0 elsewhere; all (B, T) float32."""
        ratio = ops.exp(log_probs - old_log_probs)
        bounded = ops.clip_by_value(ratio, self.low, self.high)
        gain = ops.minimum(ratio * advantages, bounded * advantages)
        return gain, ops.not_equal(ratio, bounded).astype(mstype.float32)
