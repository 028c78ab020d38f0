"""The eval section of the recipe."""

from dataclasses import dataclass, field
from typing import Literal

from common.ranges import check_range

RANGES = {
    "[1, 2147483647]": ("max_new_tokens", "attempts", "batch"),
    "[0, 2147483647]": ("top_k", "no_repeat_ngram", "stride", "samples"),
    "[0, inf)": ("temperature", "frequency_penalty", "seed"),
    "(0, inf)": ("repetition_penalty",),
    "(0, 1]": ("top_p",),
    "[0, 1]": ("min_p",),
}


@dataclass(frozen=True)
class EvalConfig:
    """What is continued, and how tokens are sampled."""

    prompts: list[str] = field(default_factory=lambda: ["床前明月光，疑是地上霜。举头望明月，"])
    """texts to continue"""
    max_new_tokens: int = 100
    """longest continuation in tokens"""
    temperature: float = 0.8
    """divides the logits; 0: greedy"""
    top_k: int = 30
    """sample among the k most likely tokens; 0: all"""
    top_p: float = 1.0
    """sample among the most likely tokens that together have this probability"""
    min_p: float = 0.0
    """drop tokens less likely than this share of the most likely one (arXiv:2407.01082); 0: none"""
    repetition_penalty: float = 1.1
    """makes tokens already in the text less likely (CTRL, arXiv:1909.05858); 1: off"""
    frequency_penalty: float = 0.0
    """taken from a token's score for each time that it is in the continuation; 0: off"""
    no_repeat_ngram: int = 0
    """never write the same sequence of this many tokens twice; 0: off"""
    stop: list[str] = field(default_factory=list)
    """texts that end a continuation and are not shown"""
    seed: int = 1337
    """seed of the sampling"""
    attempts: int = 1
    """continuations of each prompt, each with random numbers of its own"""
    log_probs: bool = False
    """show the log-probability of each new token"""
    batch: int = 8
    """rows of the context length in one forward pass of losses and exams"""
    stride: int = 0
    """new tokens in each window of the losses; fewer see more context and cost more time; \
0: the context length, as in training"""
    rounds: int | None = None
    """in a chat: earlier questions and answers that an answer sees; null: all that the context \
holds; 0: none, for models that were taught single questions"""
    samples: int = 3
    """continuations of each prompt of the continuation suite; 0: leave the suite out"""
    checkpoint: Literal["newest", "best"] = "newest"
    """checkpoint whose weights are used: the newest, or the one of the lowest held-out loss"""
    weights: Literal["float32", "int8"] = "float32"
    """how weights are kept: int8 takes a quarter of the memory and costs a little accuracy"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        for interval, names in RANGES.items():
            for name in names:
                check_range(f"eval.{name}", getattr(self, name), interval)
        if self.rounds is not None:
            check_range("eval.rounds", self.rounds, "[0, 2147483647]")
        if "" in self.stop:
            raise ValueError("eval.stop has an empty text; it would end every continuation")
