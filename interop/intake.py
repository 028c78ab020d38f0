"""Foreign tensors become weights under our names, when they are exactly those of a network."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.errors import UserError
from interop.names import OUTPUT, Dialect, Shapes, check_shapes, foreign_names, parameter_shapes
from interop.registry import Weights
from model.config import ModelConfig

log = logging.getLogger(__name__)

# Tables of angles, which older files carry and every program makes itself.
ANGLES = ("rotary_emb.inv_freq",)


def take(
    source: Path,
    config: ModelConfig,
    dialect: Dialect,
    found: Shapes,
    read: Callable[[str], np.ndarray],
) -> Weights:
    """Read the tensors of `source` by their names in a dialect; all shapes are checked first.

    `read` gives a tensor as float32. Tables of ids are padded with zero rows to a multiple of 64.

    Raises:
        UserError: names the first tensor that is missing, too many or of another shape.
    """
    if config.n_layers > len(found):
        raise UserError(
            f"{source} describes {config.n_layers} blocks but holds {len(found)} tensors; "
            "fetch or export the model again"
        )
    names, shapes = foreign_names(config, dialect), parameter_shapes(config)
    spare = [name for name in found if name.endswith(ANGLES)]
    if config.tie_embeddings:
        spare += [name for name in found if name == getattr(OUTPUT, dialect)]
    for name in spare:
        log.info(f"{source}: tensor {name} is not needed and not loaded")
    tables = {ours: (config.vocab_size, config.dim) for ours in ("embedding", "output")}
    wanted = {names[ours]: tables.get(ours, shapes[ours]) for ours in names}
    check_shapes({n: shape for n, shape in found.items() if n not in spare}, wanted, source)
    weights = {ours: read(name) for ours, name in names.items()}
    for ours in tables.keys() & weights.keys():
        weights[ours] = pad_rows(weights[ours], config.padded_vocab_size)
    return weights


def pad_rows(table: np.ndarray, rows: int) -> np.ndarray:
    """A table, (V, D), with zero rows at its end."""
    return np.pad(table, ((0, rows - len(table)), (0, 0))) if rows > len(table) else table
