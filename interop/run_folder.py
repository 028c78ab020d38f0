"""A run directory without what only training needs: small enough to be published.

It holds recipe, tokenizer, chat template, a model card and one checkpoint, whose weights are
float32 or float16 and which has no optimizer. Every command that takes `--run` takes it, and
`train.init_from` too.
"""

import dataclasses
from pathlib import Path

from interop.model_card import write_card
from interop.names import parameter_shapes
from interop.registry import Exported, Weights, export_format
from interop.safetensors_file import narrow
from model.config import AdapterConfig, ModelConfig
from model.rope import plainly_stated
from recipe import save_recipe
from runs.base import open_weights
from runs.checkpoint import CheckpointFolder
from runs.run import RECIPE, Run

USAGE = """\
```bash
python eval_pretrain.py --run {folder} {what}
python serve.py --run {folder}
```
"""


def read_back(folder: Path) -> tuple[ModelConfig, Weights]:
    """The shape and the weights of the one checkpoint.

    Raises:
        UserError: a file is damaged, or they do not fit each other.
    """
    run = Run.open(folder)
    model, shapes = run.recipe.model, parameter_shapes(run.recipe.model)
    read = open_weights(run.chosen_checkpoint, shapes, model, run.recipe.adapter)
    return plainly_stated(model), {name: read(name) for name in shapes}


@export_format("run", read_back=read_back, tolerances={"float32": 0.0, "float16": 0.01})
def write_run(run: Exported, folder: Path) -> None:
    """Fill a folder that `Run.open` opens; an adapter has been merged into the weights.

    Raises:
        UserError: a weight does not fit the type.
    """
    save_recipe(dataclasses.replace(run.recipe, adapter=AdapterConfig()), folder / RECIPE)
    run.tokenizer.save(folder)
    if run.template:
        run.template.save(folder)
    weights = {name: narrow(value, run.dtype) for name, value in run.weights.items()}
    CheckpointFolder(folder).save(run.step, weights, None, {})
    what = "--chat" if run.template else "--interactive"
    write_card(run, folder, USAGE.format(folder="FOLDER", what=what))
