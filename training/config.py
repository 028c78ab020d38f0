"""The train section of the recipe."""

import os
from dataclasses import dataclass, field
from typing import Literal

from common.ranges import check_range

RANGES = {
    "[1, 2147483647]": (
        "max_steps",
        "tokens_per_step",
        "micro_batch",
        "max_bad_steps",
        "log_interval",
        "eval_interval",
        "save_interval",
        "keep_checkpoints",
    ),
    "[0, 2147483647]": ("warmup_steps", "eval_rows", "max_restarts"),
    "[0, inf)": ("weight_decay", "seed"),
    "(0, inf)": ("learning_rate", "adam_eps", "grad_clip"),
    "[1, inf)": ("loss_scale",),
    "[0, 1)": ("beta1", "beta2", "muon_momentum"),
    "(0, 1]": ("decay_ratio",),
    "[0, 1]": ("min_lr_ratio",),
}


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    max_steps: int = 2000
    """optimizer steps of the whole run"""
    max_minutes: float | None = None
    """before step 1 the speed of a step is measured, and max_steps becomes as many as fit into so \
many minutes, at most max_steps; null: max_steps as it is"""
    tokens_per_step: int = 8192
    """tokens of one optimizer step over all ranks and micro-batches"""
    micro_batch: int = 8
    """rows of max_seq_len tokens in one forward pass on one device"""
    recompute: bool = False
    """keep only what enters each block for the gradient and compute the rest again: less memory \
on accelerators for a third more work (arXiv:1604.06174)"""
    compute_dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """type of the matrix products; auto: float32 on CPU, float16 on GPU, bfloat16 on Ascend. On a \
CPU with instructions for bfloat16, linear and output layers can have it, attention is float32"""
    kernels: Literal["auto", "native", "plain"] = "auto"
    """what computes a step on the CPU. native: kernels that Numba compiles; plain: \
MindSpore's operators; auto: native where they run, else plain, and the log says why"""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: orthogonalised momentum for the matrices of the blocks, adamw for all else"""
    learning_rate: float = 6e-4
    """peak learning rate"""
    schedule: Literal["cosine", "linear", "wsd"] = "cosine"
    """how the rate falls after the warm-up; wsd: only near the end, and then linearly"""
    decay_ratio: float = 0.2
    """wsd: share of the steps after the warm-up in which the rate falls"""
    min_lr_ratio: float = 0.1
    """the schedule ends at this share of the peak"""
    warmup_steps: int = 100
    """steps of linear warm-up"""
    weight_decay: float = 0.1
    """decoupled decay of the matrices; vectors are not decayed"""
    beta1: float = 0.9
    """AdamW: decay of the first moment"""
    beta2: float = 0.95
    """AdamW: decay of the second moment"""
    adam_eps: float = 1e-8
    """AdamW: added to the root of the second moment"""
    muon_momentum: float = 0.95
    """Muon: decay of the momentum"""
    shard_optimizer: bool = False
    """several ranks: each keeps the moments of its part of the weights only (ZeRO stage 1)"""
    grad_clip: float = 1.0
    """largest global norm of the gradient"""
    loss_scale: float = 65536.0
    """first loss scale of float16; halved on overflow, doubled after 1,000 good steps"""
    max_bad_steps: int = 20
    """stop after this many non-finite steps in a row"""
    log_interval: int = 10
    """steps between log lines"""
    loggers: list[str] = field(default_factory=list)
    """where metrics are shown beside the log: tensorboard, swanlab, wandb"""
    eval_interval: int = 200
    """steps between evaluations on the held-out file"""
    eval_rows: int = 256
    """held-out rows of such an evaluation; 0: all"""
    save_interval: int = 200
    """steps between checkpoints"""
    keep_checkpoints: int = 3
    """newest checkpoints that are kept, beside the one of the lowest held-out loss"""
    init_from: str | None = None
    """model whose weights a new run starts from: a Hugging Face folder, a .gguf file, a run \
directory or one of its checkpoints; hf://OWNER/NAME and modelscope://OWNER/NAME are fetched once; \
null: random weights"""
    init_reset: Literal["none", "embeddings", "shared"] = "none"
    """what a new vocabulary keeps of that model's tables. none: all, it is the same; embeddings: \
nothing; shared: the rows of the pieces that both have"""
    resume: Literal["auto", "never"] = "auto"
    """auto: go on from the newest checkpoint of the run directory, if there is one"""
    max_restarts: int = 0
    """start again from the last checkpoint after a crash, at most this many times in a row \
without a new checkpoint; several ranks: put python -m training.supervise in front of msrun"""
    device: Literal["auto", "CPU", "GPU", "Ascend"] = "auto"
    """device target; auto: Ascend, then GPU, then CPU"""
    seed: int = 1337
    """seed of the initial weights and of the data order"""

    def __post_init__(self):
        """Expand `~`, and reject values out of range.

        Raises:
            ValueError: names the field.
        """
        if self.init_from is not None:
            object.__setattr__(self, "init_from", os.path.expanduser(self.init_from))
        for interval, names in RANGES.items():
            for name in names:
                check_range(f"train.{name}", getattr(self, name), interval)
        if self.max_minutes is not None:
            check_range("train.max_minutes", self.max_minutes, "(0, inf)")
        if self.init_reset != "none" and self.init_from is None:
            raise ValueError(
                f"train.init_reset is {self.init_reset}; without train.init_from it must be none"
            )
