"""The recipe of MindFormers' Trainer that goes on as a run of ours does.

It is in the legacy form, the only one that knows Llama.
"""

import copy
from typing import Any

from interop.registry import Exported
from model.config import ModelConfig
from training.config import TrainConfig

CHECKPOINT, DATA = "checkpoint", "data"
ROWS = 2
"""Of a batch of the text that checks the weights."""
NO_PADDING = -1
"""As the padding's id: rows are full, so nothing is left out of the loss."""
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
# train.schedule: theirs.
SCHEDULES = {
    "cosine": "CosineWithWarmUpLR",
    "linear": "PolynomialWithWarmUpLR",
    "wsd": "WarmUpStableDecayLR",
}


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
        "lr_schedule": lr_schedule(train),
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


def lr_schedule(train: TrainConfig) -> dict[str, Any]:
    """The schedule of the learning rate over all steps of the run."""
    schedule = {
        "type": SCHEDULES[train.schedule],
        "learning_rate": train.learning_rate,
        "lr_end": train.learning_rate * train.min_lr_ratio,
        "warmup_steps": train.warmup_steps,
        "total_steps": train.max_steps,
    }
    if train.schedule == "wsd":
        decay_steps = round(train.decay_ratio * (train.max_steps - train.warmup_steps))
        schedule["decay_start_steps"] = train.max_steps - decay_steps
    return schedule
