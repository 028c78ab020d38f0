"""Adapters in the layout of the `peft` library: LoRA beside the frozen model that it belongs to.

The folder holds adapter_config.json and adapter_model.safetensors, the tokenizer, and the base as
a Hugging Face folder of its own, `base`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import atomic_open, read_json, write_json
from interop.hf.config_json import generation_config
from interop.hf.format import read_hf, write_weights
from interop.hf.tokenizer import write_tokenizer
from interop.names import foreign_names
from interop.registry import Exported, Weights, export_format
from interop.safetensors_file import SafetensorsFile, write_safetensors
from model.adapters import A, B, adapter_shapes, is_adapter, merge
from model.config import AdapterConfig, ModelConfig

CONFIG, ADAPTER, BASE = "adapter_config.json", "adapter_model.safetensors", "base"
PREFIX = "base_model.model."
# Ours: theirs.
MODULES = {
    "wq": "q_proj",
    "wk": "k_proj",
    "wv": "v_proj",
    "wo": "o_proj",
    "w1": "gate_proj",
    "w2": "down_proj",
    "w3": "up_proj",
}
PARTS = {A: "lora_A", B: "lora_B"}
NORMS = ["input_layernorm", "post_attention_layernorm", "norm"]
TABLES = ["embed_tokens", "lm_head"]
CARD = """\
# {name}

A LoRA adapter of rank {rank} and the model in `base` that it belongs to, by Baby-Llama2-MindSpore.

```python
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this one
tokenizer = AutoTokenizer.from_pretrained(folder)
base = AutoModelForCausalLM.from_pretrained(f"{{folder}}/base")
model = PeftModel.from_pretrained(base, folder)
```
"""


def read_back(folder: Path) -> tuple[ModelConfig, Weights]:
    """The shape, and the weights of base and adapter together.

    Raises:
        UserError: a file is damaged, or they do not fit each other.
    """
    model, base = read_hf(folder / BASE)
    config = _read_config(folder / CONFIG)
    file, names = SafetensorsFile(folder / ADAPTER), peft_names(model, config)
    adapter = {ours: file.read(theirs) for ours, theirs in names.items()}
    read = merge(base.__getitem__, adapter.__getitem__, adapter, config.scale)
    return model, {name: read(name) for name in base}


@export_format("peft", read_back, {"float32": 1e-6})
def write(run: Exported, folder: Path) -> None:
    """Write the adapter, its base and the tokenizer.

    Raises:
        UserError: the run has no adapter, or the tokenizer has no equal in transformers.
    """
    if run.split is None:
        raise UserError(
            f"run {run.recipe.name} has no adapter, all of its weights were trained; export as hf"
        )
    base, adapter = run.split()
    config, names = run.recipe.adapter, peft_names(run.config, run.recipe.adapter)
    write_json(folder / CONFIG, adapter_config(run.config, config))
    tensors = {theirs: adapter[ours] for ours, theirs in names.items()}
    if "embedding" in adapter and run.config.tie_embeddings:
        # peft parts the output layer from a table that it trains.
        tensors[f"{PREFIX}lm_head.weight"] = adapter["embedding"].copy()
    write_safetensors(folder / ADAPTER, tensors, run.dtype)
    write_tokenizer(run.tokenizer, folder, run.config.max_seq_len)
    with atomic_open(folder / "README.md", "w") as file:
        file.write(CARD.format(name=run.recipe.name, rank=config.rank))
    (folder / BASE).mkdir()
    write_weights(dataclasses.replace(run, weights=base), folder / BASE)
    write_json(folder / BASE / "generation_config.json", generation_config(run))


def adapter_config(model: ModelConfig, config: AdapterConfig) -> dict[str, Any]:
    """What adapter_config.json says."""
    alpha = int(config.alpha) if config.alpha == int(config.alpha) else config.alpha
    whole = TABLES if config.train_embedding else []
    whole = whole + NORMS if config.train_norms else whole
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BASE,
        "r": config.rank,
        "lora_alpha": alpha,
        "lora_dropout": config.dropout,
        "target_modules": [MODULES[name] for name in config.targets],
        "modules_to_save": whole or None,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "inference_mode": True,
    }


def peft_names(model: ModelConfig, config: AdapterConfig) -> dict[str, str]:
    """Our name of each trained weight -> its name in adapter_model.safetensors."""
    whole, names = foreign_names(model, "hf"), {}
    for name in adapter_shapes(model, config):
        if not is_adapter(name):
            names[name] = PREFIX + whole[name]
            continue
        matrix, _, last = name.rpartition(".")
        theirs = whole[f"{matrix}.weight"].removesuffix("weight")
        names[name] = f"{PREFIX}{theirs}{PARTS[last]}.weight"
    return names


def _read_config(path: Path) -> AdapterConfig:
    values = read_json(path)
    ours = {theirs: name for name, theirs in MODULES.items()}
    whole = values["modules_to_save"] or []
    return AdapterConfig(
        kind="lora",
        rank=values["r"],
        alpha=float(values["lora_alpha"]),
        targets=tuple(ours[name] for name in values["target_modules"]),
        train_embedding=TABLES[0] in whole,
        train_norms=NORMS[0] in whole,
    )
