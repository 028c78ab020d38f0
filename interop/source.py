"""Where initial weights come from: a run of ours, a Hugging Face folder, or a GGUF file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from interop.gguf.reader import read_gguf
from interop.hf.config_json import MODEL_CONFIG
from interop.hf.format import read_hf, refuse_pickles
from interop.names import parameter_shapes
from interop.registry import Weights
from interop.spelling import gguf_spelling, hf_spelling, spelling
from model.config import ModelConfig
from model.rope import plainly_stated
from runs.base import open_weights
from runs.checkpoint import STATE, Checkpoint
from runs.run import RECIPE, Run

FORMS = "a Hugging Face folder, a .gguf file, a run directory or one of its checkpoints"


@dataclass(frozen=True)
class Source:
    """A model to start from."""

    path: Path
    config: ModelConfig
    weights: Weights
    spelling: Callable[[], dict[int, bytes] | None]
    """the bytes that each id of its vocabulary stands for, read when asked; None: not known"""
    checkpoint: Checkpoint | None = None
    """where the weights stand, if a run of ours holds them"""


def open_source(path: Path) -> Source:
    """Read the model that stands at `path`; nothing in its files is run.

    Raises:
        UserError: there is none, it is damaged, of another form, or a pickle.
    """
    if path.suffix == ".gguf" and path.is_file():
        return Source(path, *read_gguf(path), lambda: gguf_spelling(path))
    if (path / RECIPE).is_file():
        return _open_run(path)
    if (path / STATE).is_file():
        return _open_run(path.parent.parent, path.name)
    if (path / MODEL_CONFIG).is_file():
        return Source(path, *read_hf(path), lambda: hf_spelling(path))
    refuse_pickles(path)
    raise UserError(f"{path} is no model to start from; name {FORMS}")


def _open_run(path: Path, checkpoint_name: str | None = None) -> Source:
    run = Run.open(path)
    checkpoint = run.newest_checkpoint()
    for other in run.checkpoints.all():
        checkpoint = other if other.path.name == checkpoint_name else checkpoint
    if checkpoint is None:
        raise UserError(f"{path} has no checkpoint to start from")
    checkpoint.check()
    model, shapes = run.recipe.model, parameter_shapes(run.recipe.model)
    read = open_weights(checkpoint, shapes, model, run.recipe.adapter)
    return Source(
        checkpoint.path,
        plainly_stated(model),
        {name: read(name) for name in shapes},
        lambda: spelling(run.tokenizer()),
        checkpoint,
    )
