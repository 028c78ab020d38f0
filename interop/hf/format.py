"""Hugging Face folders: config.json and safetensors of Llama or Qwen2 form."""

from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import read_json, write_json
from interop.hf.config_json import (
    MODEL_CONFIG,
    generation_config,
    read_model_config,
    to_hf_config,
)
from interop.hf.tokenizer import write_tokenizer
from interop.intake import take
from interop.model_card import write_card
from interop.names import foreign_names
from interop.registry import Exported, Weights, export_format
from interop.safetensors_file import SafetensorsFile, write_safetensors
from model.config import ModelConfig

MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def read_hf(folder: Path) -> tuple[ModelConfig, Weights]:
    """Shape and weights of a model in a Hugging Face folder, whole or in shards.

    Raises:
        UserError: the folder holds no such model, or one of another form; a pickle is not read.
    """
    config = read_model_config(folder / MODEL_CONFIG)
    files = _open_tensors(folder)
    shapes = {name: file.shape(name) for name, file in files.items()}
    return config, take(folder, config, "hf", shapes, lambda name: files[name].read(name))


@export_format(
    "hf", read_back=read_hf, tolerances={"float32": 0.0, "float16": 0.01, "bfloat16": 0.05}
)
def write_hf(run: Exported, folder: Path) -> None:
    """Fill a folder that transformers loads: weights, configuration, tokenizer, model card.

    Raises:
        UserError: a weight does not fit the type, or the tokenizer has no equal in transformers.
    """
    write_weights(run, folder)
    write_json(folder / "generation_config.json", generation_config(run))
    write_tokenizer(run.tokenizer, folder, run.config.max_seq_len, run.template)
    write_card(run, folder)


def write_weights(run: Exported, folder: Path) -> None:
    """Write config.json and model.safetensors.

    Raises:
        UserError: a weight does not fit the type.
    """
    names = foreign_names(run.config, "hf")
    weights = {names[ours]: value for ours, value in run.weights.items()}
    write_safetensors(folder / MODEL, weights, run.dtype)
    write_json(folder / MODEL_CONFIG, to_hf_config(run))


def refuse_pickles(path: Path) -> None:
    """Say why a pickle, or a folder of pickles, is not read.

    Raises:
        UserError: `path` is one, or holds one.
    """
    for file in (path, *(sorted(path.iterdir()) if path.is_dir() else ())):
        if file.suffix in PICKLES:
            raise UserError(
                f"{file} is a pickle, which can run code when it is read; convert it to "
                "safetensors in a place that you trust"
            )


def _open_tensors(folder: Path) -> dict[str, SafetensorsFile]:
    """The file of each tensor."""
    if (folder / INDEX).is_file():
        return _open_shards(folder)
    if (folder / MODEL).is_file():
        file = SafetensorsFile(folder / MODEL)
        return dict.fromkeys(file.entries, file)
    refuse_pickles(folder)
    raise UserError(f"{folder} has neither {MODEL} nor {INDEX}")


def _open_shards(folder: Path) -> dict[str, SafetensorsFile]:
    index: Any = read_json(folder / INDEX)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise UserError(f"{folder / INDEX} has no map of weights; fetch it again")
    files = {}
    for shard in sorted(set(places.values())):
        path = folder / shard
        if path.name != shard or path.suffix != ".safetensors" or not path.is_file():
            raise UserError(f"{folder / INDEX} names {shard!r}, which is no safetensors file there")
        files[shard] = SafetensorsFile(path)
    tensors = {name: file for file in files.values() for name in file.entries}
    for name in sorted(tensors.keys() ^ places.keys()):
        where = "the shards" if name in places else INDEX
        raise UserError(f"{folder}: tensor {name!r} is missing in {where}; fetch the model again")
    return tensors
