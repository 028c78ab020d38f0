"""What a run will do, worked out and said before its first step."""

from dataclasses import dataclass

from common.errors import UserError
from corpus.token_file import TokenFile
from model.config import ModelConfig
from model.loss import BYTES_FLOAT32, CHUNK_BYTES
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
    def memory_bytes(self) -> int:
        """A lower estimate of the memory of one rank.

        Weights, gradients and two moments in float32, one chunk of logits and its probabilities,
        and what a block keeps for the gradient: some 14 tensors of width D and 4 of width F a
        token.
        """
        model, tokens = self.model, self.micro_batch * self.model.max_seq_len
        copies = 4 if self.micro_batches == 1 else 5
        kept = model.n_layers * (
            14 * model.dim + 4 * model.hidden_dim + 2 * model.n_heads * model.max_seq_len
        )
        logits = min(BYTES_FLOAT32 * tokens * model.padded_vocab_size, CHUNK_BYTES)
        return BYTES_FLOAT32 * (copies * model.n_params() + tokens * kept) + 2 * logits

    def lines(self, device: str, dtype: str, world: World) -> list[str]:
        """The banner: what is trained, on what, and how much of it."""
        model = self.model
        blocks, total = model.n_params(embedding=False), model.n_params()
        ranks = f"{world.size} ranks" if world.size > 1 else "1 process"
        return [
            f"device {device}, {ranks}, products in {dtype}, all else in float32",
            f"model: dim {model.dim}, {model.n_layers} layers, {model.n_heads} heads, "
            f"{model.n_kv_heads} key-value heads, context {model.max_seq_len}, "
            f"vocabulary {model.vocab_size:,} padded to {model.padded_vocab_size:,}",
            f"parameters: {total:,} = blocks {blocks:,} + tables {total - blocks:,}"
            + (" (embedding and output layer share one)" if model.tie_embeddings else ""),
            f"data: {self.train_tokens:,} training tokens, {self.val_tokens:,} held out",
            f"run: {self.max_steps:,} steps of {self.tokens_per_step:,} tokens "
            f"({self.micro_batches} x {self.micro_batch} rows a rank), {self.epochs:.2f} epochs, "
            f"{model.flops_per_token() * self.max_steps * self.tokens_per_step:.2e} operations",
            f"memory: at least {self.memory_bytes / 2**30:.1f} GiB a rank beside the framework",
        ]


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
