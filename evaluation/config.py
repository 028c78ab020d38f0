"""The eval section of the recipe."""

from dataclasses import dataclass, field


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
    repetition_penalty: float = 1.1
    """makes tokens already in the text less likely (CTRL, arXiv:1909.05858); 1: off"""
    seed: int = 1337
    """seed of the sampling"""
    batch: int = 8
    """rows in one forward pass of the perplexity measurement"""

    def __post_init__(self):
        """Reject values out of range.

        Raises:
            ValueError: names the field.
        """
        for name in ("max_new_tokens", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"eval.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("temperature", "top_k", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"eval.{name} is {getattr(self, name)}; it must not be negative")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"eval.top_p is {self.top_p}; it must lie in (0, 1]")
        if self.repetition_penalty <= 0:
            raise ValueError(
                f"eval.repetition_penalty is {self.repetition_penalty}; it must be positive"
            )
