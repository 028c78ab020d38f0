"""The sizes of a run, worked out before its first step."""

from dataclasses import dataclass

from common.errors import UserError
from corpus.token_file import TokenFile
from model.config import ModelConfig
from recipe import Recipe
from training.dataset import n_rows
from training.parallel import World


@dataclass(frozen=True)
class Plan:
    """Sizes that follow from the recipe, the data and the number of ranks."""

    model: ModelConfig
    max_steps: int
    tokens_per_step: int
    micro_batch: int
    micro_batches: int
    """forward passes of each rank in one optimizer step"""
    rows_per_step: int
    """rows of all ranks in one optimizer step"""
    train_tokens: int
    val_tokens: int
    data: str
    """fingerprint of the training file"""

    @property
    def epochs(self) -> float:
        """Passes over the training file."""
        return self.max_steps * self.tokens_per_step / self.train_tokens

    @property
    def flops(self) -> float:
        """Operations of the whole run, by count."""
        return self.model.flops_per_token() * self.max_steps * self.tokens_per_step


def make_plan(
    recipe: Recipe, model: ModelConfig, train: TokenFile, val: TokenFile, world: World
) -> Plan:
    """Work out the sizes of a run.

    Raises:
        UserError: the batch cannot be shared by the ranks, or the data is shorter than one row.
    """
    config, seq_len = recipe.train, model.max_seq_len
    rows_per_step = config.tokens_per_step // seq_len
    per_pass = config.micro_batch * world.size
    if rows_per_step % per_pass:
        raise UserError(
            f"train.tokens_per_step is {config.tokens_per_step}; with {world.size} ranks it must "
            f"be a multiple of train.micro_batch * model.max_seq_len * ranks = {per_pass * seq_len}"
        )
    if not n_rows(train.n_tokens, seq_len):
        raise UserError(
            f"{train.path} has {train.n_tokens} tokens, fewer than one row of model.max_seq_len + "
            f"1 = {seq_len + 1}; add text or shorten model.max_seq_len"
        )
    if val.n_tokens < 2:
        raise UserError(f"{val.path} has only {val.n_tokens} token; raise data.val_fraction")
    return Plan(
        model=model,
        max_steps=config.max_steps,
        tokens_per_step=config.tokens_per_step,
        micro_batch=config.micro_batch,
        micro_batches=rows_per_step // per_pass,
        rows_per_step=rows_per_step,
        train_tokens=train.n_tokens,
        val_tokens=val.n_tokens,
        data=train.fingerprint,
    )
