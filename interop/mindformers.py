"""A folder from which MindFormers 1.9 trains on: weights, a recipe and a batch that checks them.

Its Llama turns the halves of a head as ours does, so weights are renamed and nothing else. The
recipe is for its Trainer, in the legacy form, the only one that knows Llama.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mindspore import Tensor
from mindspore.mindrecord import FileWriter

from common.errors import UserError
from common.files import atomic_open
from interop.intake import take
from interop.names import foreign_names
from interop.registry import Exported, Weights, export_format
from interop.safetensors_file import SafetensorsFile, write_safetensors
from model.config import ModelConfig
from model.llama import Llama
from tokenizer.tokenizer import Tokenizer
from training.dataset import batch_fields

RECIPE = "train.yaml"
CHECKPOINT, MODEL = "checkpoint", "model.safetensors"
DATA, CHECK = "data", "check.mindrecord"
TEXT, ROWS = "床前明月光，疑是地上霜。举头望明月，低头思故乡。1 + 2 = 3. ", 2
HEADER_BYTES, PAGE_BYTES = 1 << 16, 1 << 20
"""Of the MindRecord file; the package's own sizes are for large ones and make this one 50 MB."""
NO_PADDING = -1
"""As the padding's id: rows are full, so nothing is left out of the loss."""
HEAD = """\
# Train on with MindFormers 1.9, in this folder, as with any recipe of its own:
#   python run_mindformer.py --config {recipe}
# The first step prints loss {loss:.4f}: that of these weights on {data}, {rows} rows of one text.
# Rows are max_seq_len + 1 ids in the one column input_ids; put your own there and set
# compute_dtype: bfloat16 and use_flash_attention: True for speed.
"""
# Field of LlamaConfig: ours.
SHAPE = {
    "seq_length": "max_seq_len",
    "max_position_embedding": "max_seq_len",
    "hidden_size": "dim",
    "num_layers": "n_layers",
    "num_heads": "n_heads",
    "n_kv_heads": "n_kv_heads",
    "intermediate_size": "hidden_dim",
    "vocab_size": "padded_vocab_size",
    "rms_norm_eps": "norm_eps",
    "theta": "rope_theta",
    "qkv_has_bias": "attention_bias",
    "tie_word_embeddings": "tie_embeddings",
}


def read_back(folder: Path) -> tuple[ModelConfig, Weights]:
    """The shape that the recipe names and the weights beside it.

    Raises:
        UserError: they do not fit each other.
    """
    values = yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8"))["model"]["model_config"]
    shape = {ours: values[theirs] for theirs, ours in SHAPE.items()}
    config = ModelConfig(vocab_size=shape.pop("padded_vocab_size"), **shape)
    file = SafetensorsFile(folder / CHECKPOINT / MODEL)
    shapes = {name: file.shape(name) for name in file.entries}
    return config, take(folder, config, "mindformers", shapes, file.read)


@export_format("mindformers", read_back, {"float32": 0.0})
def write(exported: Exported, folder: Path) -> None:
    """Write checkpoint/, data/ and train.yaml.

    Raises:
        UserError: MindFormers' Llama cannot mask documents.
    """
    if exported.config.document_mask:
        raise UserError(
            "MindFormers' Llama attends across documents, this run has model.document_mask true; "
            "export as hf or gguf"
        )
    names = foreign_names(exported.config, "mindformers")
    for part in (CHECKPOINT, DATA):
        (folder / part).mkdir()
    weights = {names[ours]: values for ours, values in exported.weights.items()}
    write_safetensors(folder / CHECKPOINT / MODEL, weights, exported.dtype)
    rows = check_rows(exported.tokenizer, exported.config.max_seq_len)
    write_rows(folder / DATA / CHECK, rows)
    loss = loss_on(rows, exported)
    head = HEAD.format(recipe=RECIPE, loss=loss, data=f"{DATA}/{CHECK}", rows=ROWS)
    with atomic_open(folder / RECIPE, "w") as file:
        file.write(head + yaml.safe_dump(train_recipe(exported), sort_keys=False))


def check_rows(tokenizer: Tokenizer, seq_len: int) -> np.ndarray:
    """A fixed text as documents one after the other, (ROWS, T + 1) int32."""
    document = [*tokenizer.encode(TEXT), tokenizer.eos_id]
    return np.resize(np.array(document, np.int32), (ROWS, seq_len + 1))


def write_rows(path: Path, rows: np.ndarray) -> None:
    """Write rows as MindRecord with the one column input_ids."""
    writer = FileWriter(str(path))
    writer.set_header_size(HEADER_BYTES)
    writer.set_page_size(PAGE_BYTES)
    writer.add_schema({"input_ids": {"type": "int32", "shape": [-1]}})
    writer.write_raw_data([{"input_ids": row} for row in rows])
    writer.commit()


def loss_on(rows: np.ndarray, exported: Exported) -> float:
    """Loss of the exported weights on rows, (B, T + 1), in nats a token."""
    network = Llama(exported.config)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(exported.weights[parameter.name]))
    fields = batch_fields(rows, exported.tokenizer.eos_id)
    return float(network(*(Tensor(field) for field in fields))) / fields[1].size


def train_recipe(exported: Exported) -> dict[str, Any]:
    """The recipe of MindFormers' Trainer, with the run's own way of training."""
    train, eos_id = exported.recipe.train, exported.tokenizer.eos_id
    dataset = {
        "data_loader": {"type": "MindDataset", "dataset_dir": f"./{DATA}", "shuffle": False},
        "input_columns": ["input_ids"],
        "batch_size": ROWS,
        "drop_remainder": True,
        "num_parallel_workers": 1,
    }
    return {
        "seed": train.seed,
        "use_legacy": True,
        "run_mode": "train",
        "output_dir": "./output",
        "load_checkpoint": f"./{CHECKPOINT}",
        "load_ckpt_format": "safetensors",
        "auto_trans_ckpt": False,
        "resume_training": False,
        "trainer": {"type": "CausalLanguageModelingTrainer", "model_name": exported.recipe.name},
        "runner_config": {"epochs": 1, "batch_size": ROWS, "sink_mode": False, "sink_size": 1},
        "runner_wrapper": {
            "type": "MFTrainOneStepCell",
            "scale_sense": 1.0,
            "use_clip_grad": True,
        },
        "optimizer": {
            "type": "AdamW",
            "betas": [train.beta1, train.beta2],
            "eps": train.adam_eps,
            "weight_decay": train.weight_decay,
        },
        "lr_schedule": {
            "type": "CosineWithWarmUpLR",
            "learning_rate": train.learning_rate,
            "lr_end": train.learning_rate * train.min_lr_ratio,
            "warmup_steps": train.warmup_steps,
            "total_steps": -1,
        },
        "train_dataset": dataset,
        "train_dataset_task": {
            "type": "CausalLanguageModelDataset",
            "dataset_config": copy.deepcopy(dataset),  # or YAML would refer to it
        },
        "callbacks": [{"type": "MFLossMonitor"}],
        "use_parallel": False,
        "parallel": {"parallel_mode": 0, "gradients_mean": True},
        "context": {"mode": 0, "device_target": "Ascend"},
        "model": {
            "arch": {"type": "LlamaForCausalLM"},
            "model_config": model_config(exported.config, eos_id),
        },
    }


def model_config(config: ModelConfig, eos_id: int) -> dict[str, Any]:
    """The fields of LlamaConfig; the forms that every device can run, in float32."""
    return {
        "type": "LlamaConfig",
        "batch_size": ROWS,
        **{theirs: getattr(config, ours) for theirs, ours in SHAPE.items()},
        "bos_token_id": eos_id,
        "eos_token_id": eos_id,
        "pad_token_id": NO_PADDING,
        "compute_dtype": "float32",
        "layernorm_compute_type": "float32",
        "softmax_compute_type": "float32",
        "rotary_dtype": "float32",
        "param_init_type": "float32",
        "use_past": False,
        "use_flash_attention": False,
        "use_rope_slice": True,
        "fused_rms_norm": False,
    }
