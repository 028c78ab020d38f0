"""How well a model predicts text that it was not trained on."""

import math
from pathlib import Path

from corpus.token_file import VAL_NAME, TokenFile
from evaluation.config import EvalConfig
from model.llama import Llama
from tokenizer.tokenizer import Tokenizer
from training.heldout import HeldOut, HeldOutResult


def measure(
    network: Llama, tokenizer: Tokenizer, data_dir: str, config: EvalConfig
) -> HeldOutResult:
    """Loss over the whole validation file of a data folder.

    Raises:
        UserError: the file is missing, damaged, or made with another tokenizer.
    """
    file = TokenFile.open(Path(data_dir) / VAL_NAME)
    file.check(tokenizer)
    return HeldOut(network, file, tokenizer.eos_id, config.batch).evaluate()


def describe(result: HeldOutResult) -> str:
    """The three numbers in a line."""
    return (
        f"held-out loss {result.loss:.4f} nats/token, perplexity {result.perplexity:.2f}, "
        f"bits per byte {format_bits(result.bits_per_byte)} over {result.tokens:,} tokens"
    )


def format_bits(bits_per_byte: float) -> str:
    """Bits per byte; a token file without a manifest does not tell its bytes."""
    return "unknown (no manifest)" if math.isnan(bits_per_byte) else f"{bits_per_byte:.3f}"
