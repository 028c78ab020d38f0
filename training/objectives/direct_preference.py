"""Direct preference optimisation (DPO, arXiv:2305.18290; IPO, arXiv:2310.12036)."""

from mindspore import dtype as mstype
from mindspore import ops

from model.llama import Llama
from training.objectives.config import DpoConfig
from training.objectives.pairs import preference_loss, segment_sums, sides
from training.objectives.policy import PolicyObjective


class DirectPreference(PolicyObjective):
    """Makes the chosen answer likelier than the rejected one, measured from a fixed reference.

    With log p(y) the sum of the log-probabilities of an answer's ids and of its end under the
    network, and log ref(y) the same under the reference:

        r(y) = log p(y) - log ref(y)                  both divided by the ids of y, if so asked
        d    = r(chosen) - r(rejected)
        sigmoid: loss = -(1 - s) log sigmoid(beta d) - s log sigmoid(-beta d)
        ipo:     loss = (d - 1 / (2 beta))^2
        with nll: + nll * -log p(chosen) / ids of chosen            (RPO, arXiv:2404.19733)

    and the step's loss is its mean over the pairs. beta r(y) is the reward that the network stands
    for; the margin is beta d, and a pair is right where the margin is above 0.
    """

    columns = (
        "tokens", "targets", "loss_weight", "segment_ids", "present", "reference_log_probs",
    )  # fmt: skip
    measures = (
        "accuracy", "margin", "chosen_reward", "rejected_reward", "chosen_length",
        "rejected_length",
    )  # fmt: skip

    def __init__(self, network: Llama, config: DpoConfig):
        super().__init__(network, config)
        self.beta, self.smoothing, self.nll = config.beta, config.label_smoothing, config.nll
        self.is_ipo, self.normalised = config.loss == "ipo", config.length_normalised

    def construct(
        self, tokens, targets, loss_weight, segment_ids, present, reference_log_probs, row_keys=None
    ):
        """Rows alternate: chosen, rejected. The first four columns are (B, T), the others (B, P).

        `segment_ids` are the numbers of a row's pairs, 0 to P - 1 at most; `present` is 1 for each
        pair there is. `reference_log_probs` are sums over whole answers.
        """
        slots = present.shape[1]
        log_probs, _ = self.log_probs(tokens, targets, segment_ids, row_keys)
        log_probs = segment_sums(log_probs * loss_weight, segment_ids, slots)
        lengths = segment_sums(loss_weight, segment_ids, slots)
        per_id = 1.0 / ops.maximum(lengths, 1.0)
        ratio = log_probs - reference_log_probs
        if self.normalised:
            ratio = ratio * per_id
        chosen, rejected = sides(ratio)
        weight = sides(present)[0]
        difference = chosen - rejected
        if self.is_ipo:
            losses = ops.square(difference - 0.5 / self.beta)
        else:
            losses = preference_loss(self.beta * difference, self.smoothing)
        if self.nll:
            losses = losses - self.nll * sides(log_probs * per_id)[0]
        right = ops.greater(difference, 0.0).astype(mstype.float32)
        measures = (
            right, self.beta * difference, self.beta * chosen, self.beta * rejected,
            *sides(lengths),
        )  # fmt: skip
        sums = [ops.reduce_sum(measure * weight) for measure in measures]
        return ops.reduce_sum(losses * weight), ops.reduce_sum(weight), tuple(sums)
