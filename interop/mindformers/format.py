"""A folder from which MindFormers 1.9 trains on: weights, a recipe and a batch that checks them.

Its Llama turns the halves of a head as ours does, so weights are renamed and nothing else. With a
layout of devices, also the training data and a recipe for all of them.
"""

from pathlib import Path

import numpy as np
import yaml
from mindspore import Tensor
from mindspore.mindrecord import FileWriter

from common.errors import UserError
from common.files import atomic_open
from interop.intake import take
from interop.mindformers.recipe import CHECKPOINT, DATA, ROWS, SHAPE, train_recipe
from interop.mindformers.scale import write_scale
from interop.names import foreign_names
from interop.registry import Exported, Weights, export_format
from interop.safetensors_file import SafetensorsFile, write_safetensors
from model.config import ModelConfig
from model.llama import Llama
from tokenizer.tokenizer import Tokenizer
from training.feeds.tokens import batch_fields
from training.objectives.cross_entropy import NextToken

RECIPE = "train.yaml"
MODEL, CHECK = "model.safetensors", "check.mindrecord"
TEXT = "床前明月光，疑是地上霜。举头望明月，低头思故乡。1 + 2 = 3. "
HEADER_BYTES, PAGE_BYTES = 1 << 16, 1 << 20
"""Of the MindRecord file; the package's own sizes are for large ones and make this one 50 MB."""
HEAD = """\
# Train on with MindFormers 1.9, in this folder, as with any recipe of its own:
#   python run_mindformer.py --config {recipe}
# The first step prints loss {loss:.4f}: that of these weights on {data}, {rows} rows of one text.
# Rows are max_seq_len + 1 ids in the one column input_ids; put your own there and set
# compute_dtype: bfloat16 and use_flash_attention: True for speed.
"""


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
    """Write checkpoint/, data/ and train.yaml, and scale.yaml if there is a layout.

    Raises:
        UserError: MindFormers' Llama cannot mask documents, the rotary angles are scaled, or the
            run does not fit the layout.
    """
    if exported.config.document_mask:
        raise UserError(
            "MindFormers' Llama attends across documents, this run has model.document_mask true; "
            "export as hf or gguf"
        )
    if exported.config.rope_scaling != "none":
        raise UserError(
            f"this run has model.rope_scaling {exported.config.rope_scaling}, which the export for "
            "MindFormers does not carry; export as hf or gguf"
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
    if exported.layout:
        write_scale(exported, folder)


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
    return float(NextToken(network)(*map(Tensor, fields))[0]) / fields[1].size
