"""A prepared run: its recipe, data and device were checked, and nothing is written yet."""

import functools
from dataclasses import dataclass

from mindspore import dtype as mstype
from mindspore.dataset import GeneratorDataset

from chat.template import ChatTemplate
from common.errors import UserError
from model.adapters import training_flops
from model.config import ModelConfig
from runs.checkpoint import Checkpoint
from runs.device import measure_peak_flops
from runs.run import Run
from tokenizer.tokenizer import Tokenizer
from training.config import TrainConfig
from training.feeds.base import Feed, RankRows, batches
from training.parallel import World


@dataclass(frozen=True)
class PreparedRun:
    """All that training works with, and the sizes that follow from it.

    Raises:
        UserError: the batch cannot be shared by the ranks.
    """

    run: Run
    """the run directory, with a recipe whose vocabulary size is known"""
    tokenizer: Tokenizer
    template: ChatTemplate | None
    """how dialogues are written; None: the run trains on text"""
    feed: Feed
    target: str
    """device target: CPU, GPU or Ascend"""
    dtype: mstype.Type
    """of the matrix products"""
    world: World
    native: bool = False
    """whether the network has the native kernels"""
    kernels: str = "plain kernels"
    """which kernels, and why, in words"""

    def __post_init__(self):
        """Make sure that the ranks can share a step."""
        per_pass = self.config.micro_batch * self.world.size
        if self.rows_per_step % per_pass:
            raise UserError(
                f"train.tokens_per_step is {self.tokens_per_step}; with {self.world.size} ranks it "
                "must be a multiple of train.micro_batch * model.max_seq_len * ranks = "
                f"{per_pass * self.model.max_seq_len}"
            )

    @property
    def config(self) -> TrainConfig:
        """The train section of the recipe."""
        return self.run.recipe.train

    @property
    def model(self) -> ModelConfig:
        """The shape of the network."""
        return self.run.recipe.model

    @property
    def max_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.config.max_steps

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step over all ranks."""
        return self.config.tokens_per_step

    @property
    def rows_per_step(self) -> int:
        """Rows of all ranks in one optimizer step."""
        return self.tokens_per_step // self.model.max_seq_len

    @property
    def micro_batches(self) -> int:
        """Forward passes of each rank in one optimizer step."""
        return self.rows_per_step // (self.config.micro_batch * self.world.size)

    @property
    def epochs(self) -> float:
        """Passes over the training data in the whole run."""
        return self.max_steps * self.tokens_per_step / self.feed.epoch_tokens

    @property
    def flops_per_token(self) -> int:
        """Operations to train on one token, by count."""
        return training_flops(self.model, self.run.recipe.adapter)

    @property
    def flops(self) -> float:
        """Operations of the whole run, by count."""
        return self.flops_per_token * self.max_steps * self.tokens_per_step

    @functools.cached_property
    def checkpoint(self) -> Checkpoint | None:
        """What training goes on from, looked for once: the newest sound checkpoint, if any."""
        return self.run.newest_checkpoint()

    @property
    def start_step(self) -> int:
        """Optimizer steps that are done."""
        return self.checkpoint.step if self.checkpoint else 0

    @functools.cached_property
    def elapsed(self) -> float:
        """Seconds that the steps done took."""
        return self.checkpoint.state()["elapsed_s"] if self.checkpoint else 0.0

    @functools.cached_property
    def peak_flops(self) -> float:
        """Operations a second of a large matrix product on all ranks, measured when asked for."""
        return self.world.size * measure_peak_flops(self.dtype, self.native)

    def batches(self, steps: int) -> GeneratorDataset:
        """The micro-batches that this rank reads in the next so many optimizer steps."""
        rows = RankRows(
            self.feed,
            start=self.start_step * self.rows_per_step,
            length=steps * self.micro_batches * self.config.micro_batch,
            rank=self.world.rank,
            world=self.world.size,
        )
        return batches(rows, self.feed.columns, self.config.micro_batch)
