"""Checkpoints: numbered folders that are whole or absent, checked when they are read."""

import math
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor
from safetensors import safe_open
from safetensors.numpy import save

from common.errors import UserError
from common.files import atomic_open, disk_errors, fsync_folder, read_json, sha256_file, write_json

FORMAT_VERSION = 1
WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
ADAPTER = "adapter.safetensors"
"""In place of WEIGHTS: what was trained beside frozen weights, which state.json names as `base`"""


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint on disk."""

    path: Path
    step: int

    def state(self) -> dict[str, Any]:
        """What state.json says: step, tokens, held-out loss if it was measured, hashes of files."""
        return read_json(self.path / STATE)

    @property
    def run_dir(self) -> Path:
        """The run that it belongs to."""
        return self.path.parent.parent

    @property
    def has_adapter(self) -> bool:
        """Whether it holds an adapter in place of all weights."""
        return "base" in self.state()

    @property
    def val_loss(self) -> float:
        """Held-out loss at this step; infinite where it was not measured, or not a number."""
        loss = self.state().get("val_loss")
        return loss if loss is not None and math.isfinite(loss) else math.inf

    def check(self) -> None:
        """Make sure that every file is as it was written.

        Raises:
            UserError: a file is missing or damaged.
        """
        for name, digest in self.state()["sha256"].items():
            file = self.path / name
            if not file.is_file() or sha256_file(file) != digest:
                raise UserError(f"{file} is damaged; delete {self.path} to use an older checkpoint")


class CheckpointFolder:
    """The `checkpoints/` folder of a run: step_00000200/, ..., and the file `latest` beside it."""

    def __init__(self, run_dir: Path, keep: int = 1):
        self.run_dir, self.folder, self.keep = run_dir, run_dir / "checkpoints", keep

    def all(self) -> list[Checkpoint]:
        """Finished checkpoints, oldest first."""
        found = []
        for path in self.folder.glob("step_*"):
            match = re.fullmatch(r"step_(\d+)", path.name)
            if match and (path / STATE).is_file():
                found.append(Checkpoint(path, int(match[1])))
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def newest(self, warn) -> Checkpoint | None:
        """The newest sound checkpoint; damaged ones are named through `warn` and passed over.

        Raises:
            UserError: there are checkpoints and all of them are damaged.
        """
        candidates = self.all()
        for checkpoint in reversed(candidates):
            try:
                checkpoint.check()
                return checkpoint
            except UserError as error:
                warn(f"{error}; trying the one before it")
        if candidates:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged; there is nothing to continue from"
            )
        return None

    def best(self) -> Checkpoint | None:
        """The checkpoint of the lowest held-out loss, if that was measured where one was saved."""
        measured = [each for each in self.all() if each.val_loss < math.inf]
        return min(measured, key=lambda checkpoint: checkpoint.val_loss, default=None)

    def save(
        self,
        step: int,
        weights: dict[str, np.ndarray],
        optimizer: dict[str, np.ndarray] | None,
        state: dict[str, Any],
    ) -> Checkpoint:
        """Write a checkpoint under a temporary name, rename it, then point `latest` to it.

        The newest `keep` checkpoints stay, and the one of the lowest held-out loss. With a `base`
        in the state, the weights are an adapter's. Without `optimizer` it is to be used, and not
        trained on.

        Raises:
            UserError: the disk is full; older checkpoints are untouched.
        """
        final = self.folder / f"step_{step:08d}"
        temporary = self.folder / f".{final.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with disk_errors(final):
                temporary.mkdir(parents=True)
            digests = {}
            weights_file = ADAPTER if "base" in state else WEIGHTS
            for name, values in ((weights_file, weights), (OPTIMIZER, optimizer)):
                if values is None:
                    continue
                with atomic_open(temporary / name) as file:
                    file.write(save(values))
                digests[name] = sha256_file(temporary / name)
            write_json(
                temporary / STATE,
                {"format_version": FORMAT_VERSION, "step": step, **state, "sha256": digests},
            )
            shutil.rmtree(final, ignore_errors=True)
            os.rename(temporary, final)
            fsync_folder(self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        with atomic_open(self.run_dir / "latest", "w") as file:
            file.write(final.name + "\n")
        self._remove_old()
        return Checkpoint(final, step)

    def _remove_old(self) -> None:
        best = self.best()
        for checkpoint in self.all()[: -self.keep]:
            if checkpoint != best:
                shutil.rmtree(checkpoint.path, ignore_errors=True)


def copy_values(parameters: list[Parameter]) -> dict[str, np.ndarray]:
    """Values by name, in memory of their own, so that training can go on while they are saved."""
    return {p.name: p.asnumpy().copy() for p in parameters}


def open_values(file: Path, shapes: dict[str, tuple[int, ...]]) -> Callable[[str], np.ndarray]:
    """A reader, by name, of a safetensors file that holds exactly these names and shapes.

    What is stored as float16 is read as float32.

    Raises:
        UserError: it holds other names or shapes; the first difference is named.
    """
    with safe_open(file, "numpy") as opened:
        found = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}
    for name in sorted(shapes.keys() ^ found.keys()):
        raise UserError(
            f"{file} and the model differ in {name}; the recipe's model section is not the one "
            "that was trained: use the run's own recipe.yaml, or another name for a new run"
        )
    for name, shape in shapes.items():
        if found[name] != shape:
            hint = "; the vocabulary differs" if name in ("embedding", "output") else ""
            raise UserError(
                f"{file}: {name} has shape {found[name]}, the model wants {shape}{hint}; "
                "use the run's own recipe.yaml, or another name for a new run"
            )

    def read(name: str) -> np.ndarray:
        # Opened each time, so that what was read before does not stay mapped.
        with safe_open(file, "numpy") as opened:
            return widened(opened.get_tensor(name))

    return read


def widened(values: np.ndarray) -> np.ndarray:
    """What is stored as float16 as float32; all else as it is."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def load_values(file: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read a safetensors file that holds exactly these names and shapes.

    Raises:
        UserError: it holds other names or shapes; the first difference is named.
    """
    read = open_values(file, shapes)
    return {name: read(name) for name in shapes}


def load_parameters(file: Path, parameters: list[Parameter]) -> None:
    """Fill `parameters` from a safetensors file that holds exactly these.

    Raises:
        UserError: it holds other names or shapes; the first difference is named.
    """
    values = load_values(file, {p.name: p.shape for p in parameters})
    for parameter in parameters:
        parameter.set_data(Tensor(values[parameter.name]))
