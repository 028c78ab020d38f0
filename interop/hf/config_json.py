"""config.json and generation_config.json of transformers <-> the shape of a network."""

import math
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import read_json
from interop.registry import Exported
from model.config import ModelConfig

MODEL_CONFIG = "config.json"
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
# Our field: theirs.
SIZES = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
    "vocab_size": "vocab_size",
}
# What they can say and our network does not do; each with the one value that it can.
FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "use_sliding_window": False,
}
# What they can say of scaled angles beside kind and factor; each with the one value that we do.
ROPE_FIXED = {"attention_factor": None, "beta_fast": 32, "beta_slow": 1, "truncate": True}


def to_hf_config(run: Exported) -> dict[str, Any]:
    """config.json of a run; `vocab_size` counts the padding rows too, as they are in the file."""
    config = run.config
    kind = "qwen2" if config.attention_bias else "llama"
    sizes = {theirs: getattr(config, ours) for ours, theirs in SIZES.items()}
    own = {"attention_bias": False, "mlp_bias": False} if kind == "llama" else {}
    return {
        "architectures": [CLASSES[kind]],
        "model_type": kind,
        **sizes,
        "vocab_size": config.padded_vocab_size,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": _rope_scaling(config),
        "tie_word_embeddings": config.tie_embeddings,
        **own,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        **_special_ids(run),
        "torch_dtype": run.dtype,
        "use_cache": True,
    }


def _rope_scaling(config: ModelConfig) -> dict[str, Any] | None:
    if config.rope_scaling == "none":
        return None
    scaling: dict[str, Any] = {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    if config.rope_original_len is not None:
        scaling["original_max_position_embeddings"] = config.rope_original_len
    return scaling


def generation_config(run: Exported) -> dict[str, Any]:
    """generation_config.json: the run's own way of sampling, which leaves out padding rows."""
    config = run.recipe.eval
    padding = [*range(run.tokenizer.vocab_size, run.config.padded_vocab_size)]
    sampling: dict[str, Any] = {"do_sample": config.temperature > 0}
    if config.temperature > 0:
        sampling |= {
            "temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p,
        }  # fmt: skip
    # A generated answer ends with any of these.
    ends = {"eos_token_id": run.template.end_ids} if run.template else {}
    return {
        **_special_ids(run),
        **ends,
        **sampling,
        "repetition_penalty": config.repetition_penalty,
        "max_new_tokens": config.max_new_tokens,
        **({"suppress_tokens": padding} if padding else {}),
    }


def _special_ids(run: Exported) -> dict[str, int]:
    """In training a document begins after an <eos>, so that is what a text begins with here."""
    eos_id = run.tokenizer.eos_id
    return {"bos_token_id": eos_id, "eos_token_id": eos_id, "pad_token_id": run.tokenizer.unk_id}


def read_model_config(path: Path) -> ModelConfig:
    """The shape that a config.json describes.

    Raises:
        UserError: it describes a network of another form, or no possible one.
    """
    values = read_json(path)
    kind = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in CLASSES:
        raise UserError(f"{path}: model_type is {kind!r}; only {' and '.join(CLASSES)} can be read")
    for name, only in FIXED.items():
        if values.get(name, only) != only:
            raise UserError(f"{path}: {name} is {values[name]!r}; only {only!r} can be read")
    sizes = {ours: values.get(theirs) for ours, theirs in SIZES.items()}
    for ours, size in sizes.items():
        if type(size) is not int and (ours, size) != ("n_kv_heads", None):
            raise UserError(f"{path}: {SIZES[ours]} is {size!r}; it must be a whole number")
    # transformers 5 keeps the base of the angles one level deeper, with their scaling.
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    try:
        config = ModelConfig(
            **sizes,
            rope_theta=float(values.get("rope_theta", rope.get("rope_theta", 10000.0))),
            norm_eps=float(values.get("rms_norm_eps", 1e-6)),
            tie_embeddings=bool(values.get("tie_word_embeddings", False)),
            attention_bias=kind == "qwen2",
            **_read_rope_scaling(rope),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} describes no possible model: {error}") from error
    if values.get("head_dim") not in (None, config.head_dim):
        raise UserError(
            f"{path}: head_dim is {values['head_dim']}; only hidden_size / num_attention_heads = "
            f"{config.head_dim} can be read"
        )
    return config


def _read_rope_scaling(rope: dict[str, Any]) -> dict[str, Any]:
    """How the rotary angles are stretched, as fields of `ModelConfig`."""
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return {}
    if kind not in ("linear", "yarn"):
        raise ValueError(f"rope_type is {kind!r}; only default, linear and yarn can be read")
    for name, only in ROPE_FIXED.items():
        if rope.get(name, only) not in (only, None):
            raise ValueError(f"{name} of {kind} is {rope[name]!r}; only {only!r} can be read")
    if rope.get("mscale") or rope.get("mscale_all_dim"):
        raise ValueError(f"{kind} with mscale cannot be read")
    return {
        "rope_scaling": kind,
        "rope_factor": float(rope["factor"]) if "factor" in rope else math.nan,
        "rope_original_len": rope.get("original_max_position_embeddings")
        if kind == "yarn"
        else None,
    }
