"""The objective section of the recipe: one dataclass a kind, which `kind` chooses."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from common.ranges import check_range


@dataclass(frozen=True)
class PretrainConfig:
    """The objective: all of a text is predicted."""

    data_kind: ClassVar[str] = "text"

    kind: Literal["pretrain"] = "pretrain"
    """pretrain: predict all of a text"""


@dataclass(frozen=True)
class SftConfig:
    """The objective: the answers of dialogues are predicted."""

    data_kind: ClassVar[str] = "sft"

    kind: Literal["sft"] = "sft"
    """sft: predict the answers of dialogues"""


@dataclass(frozen=True)
class GrpoConfig:
    """The objective: answers are sampled, and the better ones of a prompt are made likelier."""

    data_kind: ClassVar[str] = "task"

    kind: Literal["grpo"] = "grpo"
    """grpo: answer prompts, and make answers likelier that are better than others to the same \
prompt"""
    rewards: dict[str, float] = field(default_factory=dict)
    """weights of the rewards that are summed, by their names"""
    group: int = 8
    """completions of each prompt, which are compared with each other"""
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
    scale_by_std: bool = True
    """advantages are divided by the group's standard deviation; false: Dr. GRPO"""
    normalise: Literal["token", "sequence", "constant"] = "token"
    """tokens count alike, completions count alike, or all is divided by max_new_tokens"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        for name, interval in {
            "group": "[2, inf)",
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


# A new kind is a dataclass above and its name here.
ObjectiveConfig = PretrainConfig | SftConfig | GrpoConfig
