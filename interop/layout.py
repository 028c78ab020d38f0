"""How another trainer spreads a run over devices."""

from dataclasses import dataclass

from common.errors import UserError
from recipe import Recipe


@dataclass(frozen=True)
class Layout:
    """`devices` = data_parallel x model_parallel x pipeline_stages."""

    devices: int
    """in all"""
    model_parallel: int = 1
    """devices that share each matrix (tensor parallelism, arXiv:1909.08053)"""
    pipeline_stages: int = 1
    """groups of blocks, each on devices of its own (arXiv:1811.06965)"""

    def __post_init__(self):
        """Reject what does not multiply to `devices`.

        Raises:
            UserError: names the option.
        """
        for name in ("devices", "model_parallel", "pipeline_stages"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if self.devices % (self.model_parallel * self.pipeline_stages):
            raise UserError(
                f"--devices is {self.devices}; it must be a multiple of --model_parallel "
                f"{self.model_parallel} times --pipeline_stages {self.pipeline_stages}"
            )

    @property
    def data_parallel(self) -> int:
        """Copies of the model, each on other rows."""
        return self.devices // (self.model_parallel * self.pipeline_stages)

    def micro_batches(self, recipe: Recipe) -> int:
        """Forward passes of `micro_batch` rows on each copy in one optimizer step.

        Raises:
            UserError: the run cannot be spread in this way; names the field.
        """
        model, train = recipe.model, recipe.train
        for name in ("n_heads", "n_kv_heads", "hidden_dim", "padded_vocab_size"):
            if getattr(model, name) % self.model_parallel:
                raise UserError(
                    f"--model_parallel is {self.model_parallel}; it must divide {name}, which is "
                    f"{getattr(model, name)} in this run"
                )
        if model.n_layers % self.pipeline_stages:
            raise UserError(
                f"--pipeline_stages is {self.pipeline_stages}; it must divide n_layers, which is "
                f"{model.n_layers} in this run"
            )
        at_once = self.data_parallel * train.micro_batch * model.max_seq_len
        if train.tokens_per_step % at_once:
            raise UserError(
                f"train.tokens_per_step is {train.tokens_per_step}; with {self.data_parallel} "
                f"copies of the model it must be a multiple of {at_once}, train.micro_batch times "
                "max_seq_len times the copies; lower train.micro_batch in the run's recipe.yaml"
            )
        micro_batches = train.tokens_per_step // at_once
        if micro_batches < self.pipeline_stages:
            raise UserError(
                f"an optimizer step has {micro_batches} micro-batches, fewer than the "
                f"{self.pipeline_stages} pipeline stages; lower train.micro_batch in the run's "
                "recipe.yaml, or --pipeline_stages"
            )
        return micro_batches
