"""The whole training handed to MindFormers on a cluster: its data, and a recipe for all devices.

The parallel parts follow the recipes of MindFormers 1.9's documentation; no such recipe was run on
a cluster by us. On one device and a CPU its first loss is ours (tests/interop).
"""

from pathlib import Path
from typing import Any

import yaml

from common.files import atomic_open
from corpus.token_file import TRAIN_NAME, TokenFile
from interop.layout import Layout
from interop.mindformers.megatron import write_megatron
from interop.mindformers.recipe import DATA, NO_PADDING, train_recipe
from interop.registry import Exported

RECIPE, TOKENS = "scale.yaml", "train"
COLUMNS = ["input_ids", "labels", "loss_mask", "position_ids"]
A_MACHINE = 8
"""Devices of one machine in the launch line; there are others."""
HEAD = """\
# The training with MindFormers 1.9 on {devices} devices: {data} copies of the model, each matrix on
# {model}, the blocks on {stages} in turn. On each machine, in this folder:
#   msrun --worker_num={devices} --local_worker_num={local} --master_addr=<first machine> \\
#     --master_port=8118 --node_rank=<0, 1, ...> --join=True run_mindformer.py --config {recipe}
# It starts from ./checkpoint and reads the {documents:,} documents of ./{folder}/{tokens}.bin.
# Written from MindFormers' documentation and not run on a cluster by us: begin with few steps.
"""


def write_scale(exported: Exported, folder: Path) -> None:
    """Write the training data into data/, and scale.yaml.

    Raises:
        UserError: the run does not fit the layout, or its training data is gone or another.
    """
    recipe = scale_recipe(exported)
    source = TokenFile.open(Path(exported.recipe.data.dir) / TRAIN_NAME)
    source.check(exported.tokenizer)
    documents = write_megatron(source, folder / DATA / TOKENS, exported.tokenizer.eos_id)
    layout = exported.layout
    head = HEAD.format(
        devices=layout.devices, data=layout.data_parallel, model=layout.model_parallel,
        stages=layout.pipeline_stages, local=min(A_MACHINE, layout.devices), recipe=RECIPE,
        documents=documents, folder=DATA, tokens=TOKENS,
    )  # fmt: skip
    with atomic_open(folder / RECIPE, "w") as file:
        file.write(head + yaml.safe_dump(recipe, sort_keys=False))


def scale_recipe(exported: Exported) -> dict[str, Any]:
    """The recipe of MindFormers' Trainer for the layout.

    Raises:
        UserError: the run cannot be spread in this way.
    """
    layout, run = exported.layout, exported.recipe
    micro_batches = layout.micro_batches(run)
    recipe = train_recipe(exported)
    # MindFormers accumulates gradients on several devices only.
    batch = run.train.micro_batch * (1 if layout.devices > 1 else micro_batches)
    recipe["runner_config"] |= {"batch_size": batch, "sink_mode": True}
    recipe["callbacks"].append(
        {
            "type": "CheckpointMonitor",
            "prefix": run.name,
            "save_checkpoint_steps": run.train.save_interval,
            "keep_checkpoint_max": run.train.keep_checkpoints,
            "integrated_save": False,
            "checkpoint_format": "safetensors",
        }
    )
    recipe["recompute_config"] = {"recompute": run.train.recompute}
    recipe["train_dataset"] = dataset(exported, batch)
    recipe["train_dataset_task"]["dataset_config"] = dataset(exported, batch)
    recipe["model"]["model_config"] |= {
        "batch_size": batch,
        "compute_dtype": "bfloat16",
        "use_flash_attention": run.model.head_dim % 16 == 0,
        "input_sliced_sig": True,
    }
    if layout.devices > 1:
        spread(recipe, layout, micro_batches)
    return recipe


def dataset(exported: Exported, batch: int) -> dict[str, Any]:
    """The token file as rows of max_seq_len ids that cross documents, for `max_steps` steps."""
    run = exported.recipe
    rows = run.train.tokens_per_step // run.model.max_seq_len
    config = {
        "seed": run.train.seed,
        "split": "1, 0, 0",
        "seq_length": run.model.max_seq_len,
        "eod": exported.tokenizer.eos_id,
        "pad": NO_PADDING,
        "eod_mask_loss": False,
        "reset_position_ids": False,
        "create_attention_mask": False,
        "data_path": ["1", f"./{DATA}/{TOKENS}"],
    }
    loader = {
        "type": "BlendedMegatronDatasetDataLoader",
        "datasets_type": "GPTDataset",
        "sizes": [run.train.max_steps * rows, 0, 0],
        "column_names": list(COLUMNS),
        "config": config,
    }
    return {
        "data_loader": loader,
        "input_columns": list(COLUMNS),
        "construct_args_key": list(COLUMNS),
        "batch_size": batch,
        "drop_remainder": True,
        "num_parallel_workers": 1,
    }


def spread(recipe: dict[str, Any], layout: Layout, micro_batches: int) -> None:
    """Add to a recipe what several devices need: who does what, and the optimizer split (ZeRO)."""
    copies, stages = layout.data_parallel, layout.pipeline_stages
    # Either the stages work on the micro-batches in turn, or each device adds them up.
    recipe["runner_config"]["gradient_accumulation_steps"] = micro_batches if stages == 1 else 1
    recipe["context"]["dataset_broadcast_opt_level"] = 3
    recipe["auto_trans_ckpt"] = True
    recipe["use_parallel"] = True
    recipe["parallel"] = {
        "parallel_mode": 1,  # each operator is split as its layer says
        "gradients_mean": False,
        "full_batch": False,
        "dataset_strategy": [[copies, 1] for _ in COLUMNS],
        "enable_parallel_optimizer": True,
        "parallel_optimizer_config": {
            "gradient_accumulation_shard": False,
            "parallel_optimizer_threshold": 64,
        },
        "strategy_ckpt_save_file": "./ckpt_strategy.ckpt",
    }
    recipe["parallel_config"] = {
        "data_parallel": copies,
        "model_parallel": layout.model_parallel,
        "pipeline_stage": stages,
        "micro_batch_num": micro_batches if stages > 1 else 1,
        "vocab_emb_dp": True,
        "use_seq_parallel": False,
        "gradient_aggregation_group": 1,
    }
    recipe["recompute_config"] |= {
        "parallel_optimizer_comm_recompute": True,
        "mp_comm_recompute": True,
        "recompute_slice_activation": True,
    }
