"""A run's weights as llama2.c wants them: interleaved pairs, its own ids, no padding rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import atomic_open
from interop.intake import pad_rows
from interop.llama2c.tokenizer import BEGIN, FREE, check_ids, swap_rows, tokenizer_bin
from interop.pieces import read_pieces
from interop.registry import Exported, Weights
from interop.rope_layout import from_interleaved, to_interleaved
from model.config import ModelConfig

ROPE_THETA, NORM_EPS = 10000.0, 1e-5
"""Written into llama2.c's source."""
TOKENIZER = "tokenizer.bin"
SHAPE = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")
"""The numbers in the header of model.bin, of both formats."""
MATRICES = (
    "attention.wq",
    "attention.wk",
    "attention.wv",
    "attention.wo",
    "feed_forward.w1",
    "feed_forward.w2",
    "feed_forward.w3",
)


def shape_numbers(config: ModelConfig) -> dict[str, int]:
    """The numbers of SHAPE, in that order."""
    return {name: getattr(config, name) for name in SHAPE}


def check_shape(config: ModelConfig) -> None:
    """Make sure that llama2.c can run a network of this shape.

    Raises:
        UserError: names what it cannot do.
    """
    for name, right in (
        ("rope_theta", ROPE_THETA),
        ("rope_scaling", "none"),
        ("norm_eps", NORM_EPS),
        ("attention_bias", False),
        ("document_mask", False),
    ):
        if getattr(config, name) != right:
            raise UserError(
                f"llama2.c only runs models with model.{name} {right}, this run has "
                f"{getattr(config, name)}; export as hf or gguf"
            )


def for_llama2c(exported: Exported, folder: Path) -> tuple[ModelConfig, Weights]:
    """Write tokenizer.bin; returns the shape and the weights that go with it, under our names.

    Raises:
        UserError: llama2.c cannot run this model, or cannot read text as its tokenizer does.
    """
    config, weights = exported.config, to_interleaved(exported.weights, exported.config)
    check_shape(config)
    pieces = read_pieces(exported.tokenizer, config.vocab_size, "llama2.c")
    check_ids(pieces, exported.tokenizer.eos_id)
    with atomic_open(folder / TOKENIZER) as file:
        file.write(tokenizer_bin(pieces))
    for name in {"embedding", "output"} & weights.keys():
        weights[name] = swap_rows(weights[name][: config.vocab_size])
    if not pieces.dummy_prefix:
        weights.setdefault("output", weights["embedding"].copy())
        weights["embedding"][FREE] = weights["embedding"][BEGIN]
    return replace(config, tie_embeddings="output" not in weights), weights


def from_llama2c(config: ModelConfig, weights: Weights) -> tuple[ModelConfig, Weights]:
    """The reverse, with zeros for the padding rows.

    Where id 2 stands for an <eos> before a text, the embedding of <s> is lost; a tied table has it
    in the output layer.
    """
    weights = from_interleaved(weights, config)
    embedding = weights["embedding"]
    if "output" in weights and np.array_equal(embedding[BEGIN], embedding[FREE]):
        embedding[FREE] = weights["output"][FREE]
    if np.array_equal(embedding, weights.get("output", embedding)):
        weights.pop("output", None)
    for name in {"embedding", "output"} & weights.keys():
        weights[name] = pad_rows(swap_rows(weights[name]), config.padded_vocab_size)
    return replace(config, tie_embeddings="output" not in weights), weights


def stack(weights: Weights, config: ModelConfig, part: str) -> np.ndarray:
    """The weight of one part of all blocks, (N, ...), which llama2.c keeps together."""
    return np.stack([weights[f"layers.{n}.{part}.weight"] for n in range(config.n_layers)])


def unstack(weights: Weights, part: str, values: np.ndarray) -> None:
    """Put values, (N, ...), under the names of the blocks."""
    for n, value in enumerate(values):
        weights[f"layers.{n}.{part}.weight"] = value
