"""A run directory: everything that evaluation, export and resuming need."""

import contextlib
import dataclasses
import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor
from mindspore import dtype as mstype
from safetensors.numpy import load_file

from chat.template import ChatTemplate
from common.errors import UserError
from common.files import PathLike, atomic_open, disk_errors
from common.lock import exclusive
from model.adapters import adapter_shapes
from model.int8 import Int8Llama
from model.llama import Llama
from recipe import Recipe, load_recipe, save_recipe
from runs.base import Base, open_weights
from runs.checkpoint import ADAPTER, Checkpoint, CheckpointFolder, load_values, widened
from tokenizer.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger(__name__)

RECIPE, METRICS, LOG, LOCK = "recipe.yaml", "metrics.jsonl", "train.log", "lock"
PATIENCE = 10.0
"""Seconds that a process of the same run may take to end; one with much memory takes some."""


class Run:
    """out/<name>/: recipe.yaml, tokenizer.model, checkpoints/, latest, metrics.jsonl, train.log."""

    def __init__(self, path: Path, recipe: Recipe):
        self.path, self.recipe = path, recipe
        self.checkpoints = CheckpointFolder(path, recipe.train.keep_checkpoints)

    @classmethod
    def open(cls, path: PathLike, overrides=()) -> "Run":
        """Open an existing run; `overrides` are options such as `--eval.top_k 5`.

        Raises:
            UserError: the folder holds no run.
        """
        path = Path(path)
        if not (path / RECIPE).is_file():
            raise UserError(f"{path} is not a run directory: it has no {RECIPE}; run pretrain.py")
        return cls(path, load_recipe(path / RECIPE, overrides))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training this run as long as the block lasts.

        Raises:
            UserError: one does already, or the folder cannot be written to.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        taken = f"another process trains {self.path}; let it finish, end it, or choose another name"
        with exclusive(self.path / LOCK, taken, PATIENCE):
            yield

    def create(
        self, tokenizer: Tokenizer, start_step: int = 0, template: ChatTemplate | None = None
    ) -> None:
        """Write recipe, tokenizer and chat template; metrics after `start_step` are dropped."""
        self.describe(tokenizer, template)
        self._cut_metrics(start_step)

    def describe(self, tokenizer: Tokenizer, template: ChatTemplate | None = None) -> None:
        """Write recipe, tokenizer and chat template, without which a checkpoint is of no use."""
        save_recipe(self.recipe, self.path / RECIPE)
        tokenizer.save(self.path)
        if template:
            template.save(self.path)

    def tokenizer(self) -> Tokenizer:
        """The run's own copy of its tokenizer."""
        return load_tokenizer(self.recipe.tokenizer.kind, self.path)

    def metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl; a last line cut by a crash is left out."""
        records = []
        if (self.path / METRICS).is_file():
            for line in (self.path / METRICS).read_text(encoding="utf-8").splitlines():
                try:
                    records.append(json.loads(line))
                except ValueError:
                    continue
        return records

    def _cut_metrics(self, step: int) -> None:
        """A resumed run writes what came after its checkpoint again."""
        kept = [record for record in self.metrics() if record["step"] <= step]
        with atomic_open(self.path / METRICS, "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in kept)

    def newest_checkpoint(self) -> Checkpoint | None:
        """The newest sound checkpoint, if there is one."""
        return self.checkpoints.newest(log.warning)

    @functools.cached_property
    def chosen_checkpoint(self) -> Checkpoint:
        """What `eval.checkpoint` names: the newest sound checkpoint, or the best one.

        It is looked for once, so that all that is said of it means the same one while training
        goes on.

        Raises:
            UserError: there is none, the best is damaged, or none had its held-out loss measured.
        """
        newest = self.newest_checkpoint()
        if newest is None:
            raise UserError(f"{self.path} has no checkpoint yet; run pretrain.py")
        if self.recipe.eval.checkpoint == "newest":
            return newest
        best = self.checkpoints.best()
        if best is None:
            raise UserError(
                f"no checkpoint of {self.path} was saved where its held-out loss was measured; "
                "take the newest, and set train.save_interval to train.eval_interval"
            )
        best.check()
        return best

    def load_model(
        self,
        compute_dtype=mstype.float32,
        weights: str = "float32",
        native: bool = False,
        value_head: bool = True,
    ) -> Llama:
        """The network with the weights of the chosen checkpoint, in float32 or as int8.

        An adapter is merged into its base. `native`: with the kernels of model/native, which int8
        has none of. `value_head` false: without one, also where the run trained one.

        Raises:
            UserError: there is no such checkpoint, it does not fit the recipe, or the base of its
                adapter is not what it was.
        """
        recipe, checkpoint = self.recipe, self.chosen_checkpoint
        if weights == "int8":
            network = Int8Llama(recipe.model, compute_dtype)
            shapes = network.weight_shapes()
            network.fill(open_weights(checkpoint, shapes, recipe.model, recipe.adapter))
            return network
        has_values = recipe.model.value_head
        model = dataclasses.replace(recipe.model, value_head=has_values and value_head)
        network = Llama(model, compute_dtype, seed=None, native=native)
        shapes = {parameter.name: parameter.shape for parameter in network.get_parameters()}
        shapes |= {"value_head": (model.dim,)} if has_values else {}
        read = open_weights(checkpoint, shapes, recipe.model, recipe.adapter)
        for parameter in network.get_parameters():
            parameter.set_data(Tensor(read(parameter.name)))
        return network

    def split_weights(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Base and adapter of the chosen checkpoint, which has one, by name.

        Raises:
            UserError: the base of the adapter is not what it was.
        """
        recipe, checkpoint = self.recipe, self.chosen_checkpoint
        trained = adapter_shapes(recipe.model, recipe.adapter)
        base = load_file(Base.named_by(checkpoint).file)
        base = {name: widened(values) for name, values in base.items()}
        return base, load_values(checkpoint.path / ADAPTER, trained)


def newest_run(out_dir: PathLike) -> Path:
    """The run under `out_dir` that was trained last.

    Raises:
        UserError: there is none.
    """
    runs = [path.parent for path in Path(out_dir).glob(f"*/{RECIPE}")]
    if not runs:
        raise UserError(f"no run in {out_dir}/; run python pretrain.py first")
    # Written anew at each start of pretrain.py, and by nothing else.
    return max(runs, key=lambda path: (path / RECIPE).stat().st_mtime)
