"""The weights that an adapter was trained on: its checkpoints name them, each use checks them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import Parameter
from safetensors.numpy import save

from common.errors import UserError
from common.files import atomic_open, disk_errors, sha256_file
from model.adapters import Read, adapter_shapes, is_adapter, merge
from model.config import AdapterConfig, ModelConfig
from runs.checkpoint import ADAPTER, WEIGHTS, Checkpoint, load_parameters, open_values

BASE = "base.safetensors"
"""In the run directory: the base of an adapter that begins from no checkpoint of a run."""


@dataclass(frozen=True)
class Base:
    """A file of all weights of a network, and its fingerprint."""

    file: Path
    sha256: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Base":
        """The weights of a checkpoint that holds all of them."""
        return cls(checkpoint.path / WEIGHTS, checkpoint.state()["sha256"][WEIGHTS])

    @classmethod
    def write(cls, run_dir: Path, weights: dict[str, np.ndarray]) -> "Base":
        """Weights that no checkpoint holds, such as those of a foreign model, kept with the run.

        Raises:
            UserError: the disk is full.
        """
        with disk_errors(run_dir / BASE):
            run_dir.mkdir(parents=True, exist_ok=True)
            with atomic_open(run_dir / BASE) as file:
                file.write(save(weights))
        return cls(run_dir / BASE, sha256_file(run_dir / BASE))

    @classmethod
    def named_by(cls, checkpoint: Checkpoint) -> "Base":
        """What an adapter's checkpoint was trained on, as it is now.

        Raises:
            UserError: it is missing, or holds other weights than it did.
        """
        named = checkpoint.state()["base"]
        file = Path(os.path.normpath(checkpoint.run_dir / named["file"]))
        if not file.is_file():
            raise UserError(
                f"{checkpoint.path} holds an adapter of {file}, which is missing; put it back"
            )
        if sha256_file(file) != named["sha256"]:
            raise UserError(
                f"{checkpoint.path} holds an adapter of another base than {file} is now; "
                "put the old weights back, or train the adapter anew"
            )
        return cls(file, named["sha256"])

    def state(self, run_dir: Path) -> dict[str, str]:
        """What state.json says of it; a path from the run directory, so that both can be moved."""
        return {"file": os.path.relpath(self.file, run_dir), "sha256": self.sha256}


def open_weights(
    checkpoint: Checkpoint,
    shapes: dict[str, tuple[int, ...]],
    model: ModelConfig,
    adapter: AdapterConfig,
) -> Read:
    """A reader of all weights of a checkpoint, by name; an adapter is merged into its base.

    Args:
        checkpoint: holds all weights, or those of an adapter alone.
        shapes: of the weights of a plain network.
        model: the network's shape.
        adapter: the recipe's section of that name.

    Raises:
        UserError: the files do not fit the shapes, or the adapter's base is not what it was.
    """
    if not checkpoint.has_adapter:
        return open_values(checkpoint.path / WEIGHTS, shapes)
    base, trained = Base.named_by(checkpoint), adapter_shapes(model, adapter)
    read = open_values(checkpoint.path / ADAPTER, trained)
    of_base = {name: shape for name, shape in shapes.items() if not is_adapter(name)}
    return merge(open_values(base.file, of_base), read, trained, adapter.scale)


def load_adapted(checkpoint: Checkpoint, parameters: list[Parameter]) -> Base:
    """Fill an adapted network's `parameters` from an adapter's checkpoint and its base.

    Raises:
        UserError: the files do not fit the network, or the base is not what it was.
    """
    base = Base.named_by(checkpoint)
    trained = [p for p in parameters if p.requires_grad]
    load_parameters(base.file, [p for p in parameters if not is_adapter(p.name)])
    load_parameters(checkpoint.path / ADAPTER, trained)
    return base
