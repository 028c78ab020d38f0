"""The shape and the weights of a Llama or Qwen2 in a GGUF file of any quantisation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import UserError
from interop.gguf.file import GGUFFile
from interop.intake import take
from interop.names import BIASES, EMBEDDING, OUTPUT
from interop.registry import Weights
from interop.rope_layout import from_interleaved
from model.config import ModelConfig

# Ours: theirs, after the name of the architecture.
SIZES = {
    "dim": "embedding_length",
    "n_layers": "block_count",
    "n_heads": "attention.head_count",
    "n_kv_heads": "attention.head_count_kv",
    "hidden_dim": "feed_forward_length",
    "max_seq_len": "context_length",
}
# What can be said of scaled angles beside their kind; each with the one value that is computed.
ROPE_FIXED = {
    "attn_factor": 1.0,
    "yarn_ext_factor": 1.0,
    "yarn_attn_factor": 1.0,
    "yarn_beta_fast": 32.0,
    "yarn_beta_slow": 1.0,
    "yarn_log_multiplier": 0.0,
}
# The programs that read these files turn the pairs (2i, 2i + 1) in the one, halves in the other.
INTERLEAVED = {"llama": True, "qwen2": False}


def read_gguf(path: Path) -> tuple[ModelConfig, Weights]:
    """Shape and weights of a model in a GGUF file, dequantised to float32.

    Raises:
        UserError: the file is damaged, or holds a model of another form.
    """
    file = GGUFFile(path)
    config = _shape(file)
    shapes = {name: entry.shape for name, entry in file.entries.items()}
    weights = take(path, config, "gguf", shapes, file.read)
    if INTERLEAVED[file.fields["general.architecture"]]:
        weights = from_interleaved(weights, config)
    return config, weights


def _shape(file: GGUFFile) -> ModelConfig:
    kind = file.fields.get("general.architecture")
    if not isinstance(kind, str) or kind not in INTERLEAVED:
        known = " and ".join(INTERLEAVED)
        raise UserError(f"{file.path}: architecture is {kind!r}; only {known} can be read")

    def field(name: str, default: Any = None) -> Any:
        return file.fields.get(f"{kind}.{name}", default)

    sizes = {ours: field(theirs) for ours, theirs in SIZES.items()}
    for ours, size in sizes.items():
        if type(size) is not int and (ours, size) != ("n_kv_heads", None):
            raise UserError(
                f"{file.path}: {kind}.{SIZES[ours]} is {size!r}; it must be a whole number"
            )
    if EMBEDDING.gguf not in file.entries:
        raise UserError(f"{file.path}: tensor {EMBEDDING.gguf} is missing")
    try:
        config = ModelConfig(
            **sizes,
            vocab_size=file.shape(EMBEDDING.gguf)[0],
            rope_theta=float(field("rope.freq_base", 10000.0)),
            norm_eps=_rounded(field("attention.layer_norm_rms_epsilon", 1e-5)),
            tie_embeddings=OUTPUT.gguf not in file.entries,
            attention_bias=BIASES[0].gguf.format(n=0) in file.entries,
            **_rope_scaling(field),
        )
    except (ValueError, TypeError) as error:
        raise UserError(f"{file.path} describes no possible model: {error}") from error
    for name in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
        if field(name, config.head_dim) != config.head_dim:
            raise UserError(
                f"{file.path}: {kind}.{name} is {field(name)}; only the head size "
                f"{config.head_dim} can be read"
            )
    for name, only in ROPE_FIXED.items():
        if field(f"rope.scaling.{name}", only) != only:
            raise UserError(
                f"{file.path}: {kind}.rope.scaling.{name} is {field(f'rope.scaling.{name}')}; "
                f"only {only} can be read"
            )
    if field("expert_count", 0):
        raise UserError(f"{file.path}: experts cannot be read")
    return config


def _rope_scaling(field: Callable[..., Any]) -> dict[str, Any]:
    """How the rotary angles are stretched, as fields of `ModelConfig`."""
    kind = field("rope.scaling.type", "none")
    if kind == "none":
        return {}
    if kind not in ("linear", "yarn"):
        raise ValueError(f"rope.scaling.type is {kind!r}; only linear and yarn can be read")
    original = field("rope.scaling.original_context_length") if kind == "yarn" else None
    return {
        "rope_scaling": kind,
        "rope_factor": _rounded(field("rope.scaling.factor", 1.0)),
        "rope_original_len": original,
    }


def _rounded(value: float) -> float:
    """A float32 as the short decimal that it was written from: 1e-5, not 9.99999974e-06."""
    return float(f"{value:.6g}")
