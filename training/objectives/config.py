"""The objective section of the recipe: one dataclass a kind, which `kind` chooses."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from common.ranges import check_range


class ObjectiveSection:
    """What all objectives say beside their fields."""

    data_kind: ClassVar[str]
    """the `data.kind` that it reads"""
    value_head: ClassVar[bool] = False
    """whether the network gives a number for each token"""


@dataclass(frozen=True)
class PretrainConfig(ObjectiveSection):
    """The objective: all of a text is predicted."""

    data_kind: ClassVar[str] = "text"

    kind: Literal["pretrain"] = "pretrain"
    """pretrain: predict all of a text"""


@dataclass(frozen=True)
class SftConfig(ObjectiveSection):
    """The objective: the answers of dialogues are predicted."""

    data_kind: ClassVar[str] = "sft"

    kind: Literal["sft"] = "sft"
    """sft: predict the answers of dialogues"""


@dataclass(frozen=True)
class OnPolicySection(ObjectiveSection):
    """What objectives share that learn from the model's own completions."""

    data_kind: ClassVar[str] = "task"
    least_group: ClassVar[int] = 1

    kind: str
    rewards: dict[str, float] = field(default_factory=dict)
    """weights of the rewards that are summed, by their names"""
    group: int = 1
    """completions of each prompt"""
    updates: int = 1
    """optimizer steps on the same completions, each on all of them"""
    temperature: float = 1.0
    """divides the logits when completions are sampled; at 1 the distribution that is sampled is \
the one that is trained"""
    top_p: float = 1.0
    """ids are sampled among the most likely ones that together have this probability"""
    max_new_tokens: int = 64
    """longest completion in tokens"""
    rollout_rows: int = 32
    """completions that are written at the same time"""
    table_interval: int = 20
    """steps between tables of all completions in the run's folder rollouts/"""
    clip: float = 0.2
    """the ratio of new to old probability counts from 1 - clip to 1 + clip_high only"""
    clip_high: float | None = None
    """null means the same as clip"""
    beta: float = 0.02
    """weight of the divergence from the first model; 0: that model is not kept in memory"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        for name, interval in {
            "group": f"[{self.least_group}, inf)",
            "updates": "[1, inf)",
            "temperature": "(0, inf)",
            "top_p": "(0, 1]",
            "max_new_tokens": "[1, inf)",
            "rollout_rows": "[1, inf)",
            "table_interval": "[1, inf)",
            "clip": "(0, 1)",
            "beta": "[0, inf)",
        }.items():
            check_range(f"objective.{name}", getattr(self, name), interval)
        if self.clip_high is not None:
            check_range("objective.clip_high", self.clip_high, "(0, inf)")
        for name, weight in self.rewards.items():
            check_range(f"objective.rewards.{name}", weight, "(-inf, inf)")


@dataclass(frozen=True)
class DpoConfig(ObjectiveSection):
    """The objective: of two answers the better one becomes likelier than the worse one."""

    data_kind: ClassVar[str] = "pairs"

    kind: Literal["dpo"] = "dpo"
    """dpo: direct preference optimisation on pairs of answers, beside a fixed reference"""
    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    """sigmoid: -log sigmoid(beta difference); ipo: (difference - 1 / (2 beta))^2"""
    beta: float = 0.1
    """how near the reference the model is kept: the higher, the nearer"""
    label_smoothing: float = 0.0
    """sigmoid: share of the pairs whose answers are thought to be the wrong way round"""
    length_normalised: bool = False
    """log-probabilities of an answer are divided by its ids, so that long ones count no more"""
    nll: float = 0.0
    """weight of the chosen answers' loss a token, which keeps them likely"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        for name, interval in {
            "beta": "(0, inf)",
            "label_smoothing": "[0, 0.5)",
            "nll": "[0, inf)",
        }.items():
            check_range(f"objective.{name}", getattr(self, name), interval)
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError(
                f"objective.label_smoothing is {self.label_smoothing}; objective.loss ipo has "
                "none, set it to 0"
            )


@dataclass(frozen=True)
class RewardConfig(ObjectiveSection):
    """The objective: of two answers the better one gets the higher number."""

    data_kind: ClassVar[str] = "pairs"
    value_head: ClassVar[bool] = True

    kind: Literal["reward"] = "reward"
    """reward: a reward model, which gives answers a number, learned from pairs of them"""
    margin: float = 0.0
    """what the number of the chosen answer should exceed the other's by"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        check_range("objective.margin", self.margin, "[0, inf)")


@dataclass(frozen=True)
class GrpoConfig(OnPolicySection):
    """The objective: answers are sampled, and the better ones of a prompt are made likelier."""

    least_group: ClassVar[int] = 2

    kind: Literal["grpo"] = "grpo"
    """grpo: answer prompts, and make answers likelier that are better than others to the same \
prompt"""
    group: int = 8
    """completions of each prompt, which are compared with each other"""
    scale_by_std: bool = True
    """advantages are divided by the group's standard deviation; false: Dr. GRPO"""
    normalise: Literal["token", "sequence", "constant"] = "token"
    """tokens count alike, completions count alike, or all is divided by max_new_tokens"""


@dataclass(frozen=True)
class PpoConfig(OnPolicySection):
    """The objective: answers are sampled, and what went better than expected is made likelier."""

    value_head: ClassVar[bool] = True

    kind: Literal["ppo"] = "ppo"
    """ppo: answer prompts, and make ids likelier after which the reward is higher than the value \
head expected"""
    updates: int = 4
    """optimizer steps on the same completions, each on all of them"""
    beta: float = 0.05
    """each id costs beta * (its log-probability - that under the first model); 0: that model is \
not kept in memory"""
    gamma: float = 1.0
    """a reward counts this much for each id that it comes later"""
    gae_lambda: float = 0.95
    """advantages: 1 follows the rewards that came, 0 the value head's guess one id later"""
    whiten: bool = True
    """advantages of a step are shifted and scaled to mean 0 and variance 1"""
    value_coef: float = 0.1
    """weight of the value head's loss"""
    value_clip: float | None = 0.2
    """values count as far as this from those before the update; null: not limited"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        super().__post_init__()
        for name, interval in {
            "gamma": "[0, 1]",
            "gae_lambda": "[0, 1]",
            "value_coef": "[0, inf)",
        }.items():
            check_range(f"objective.{name}", getattr(self, name), interval)
        if self.value_clip is not None:
            check_range("objective.value_clip", self.value_clip, "(0, inf)")


# A new kind is a dataclass above and its name here.
ObjectiveConfig = PretrainConfig | SftConfig | DpoConfig | RewardConfig | GrpoConfig | PpoConfig
