"""Export formats by name. A format writes a run into a folder and reads that folder back."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chat.template import ChatTemplate
from common.errors import UserError
from interop.formats import FORMAT_MODULES
from interop.layout import Layout
from model.config import ModelConfig
from model.rope import plainly_stated
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer

FORMATS: dict[str, "Format"] = {}

Weights = dict[str, np.ndarray]
"""float32 arrays by the network's own parameter names; a tied output layer is not repeated"""


@dataclass(frozen=True)
class Exported:
    """A trained run, as a format gets it."""

    recipe: Recipe
    weights: Weights
    tokenizer: Tokenizer
    step: int
    """optimizer steps that the weights have seen"""
    figures: dict[str, Any]
    """the last held-out line of metrics.jsonl up to `step`: val_loss, bits_per_byte; empty: none"""
    dtype: str
    """the type of weights that was asked for; one of the format's own"""
    split: Callable[[], tuple[Weights, Weights]] | None = None
    """reads the weights of base and adapter apart, by our names; None: all weights were trained"""
    template: ChatTemplate | None = None
    """how the run writes dialogues; None: it is a base model, which only continues text"""
    layout: Layout | None = None
    """of the devices that shall train on, if that was asked for"""

    @property
    def config(self) -> ModelConfig:
        """The network's shape, its rotary angles as other programs state them."""
        return plainly_stated(self.recipe.model)


@dataclass(frozen=True)
class Format:
    """How a run becomes files of a foreign program, and how these are checked."""

    write: Callable[[Exported, Path], None]
    """fills an empty folder; raises UserError if the format cannot hold the run"""
    read_back: Callable[[Path], tuple[ModelConfig, Weights]]
    """reads what `write` wrote, from the files alone"""
    tolerances: dict[str, float]
    """types of weights that can be asked for, the first without asking; for each the largest
    difference of a score of the model read back, as a share of the largest score. 0: to the bit"""


def export_format(name: str, read_back: Callable, tolerances: dict[str, float]) -> Callable:
    """Register the decorated function as `write` of the format `name`; see `Format`."""

    def register(write: Callable) -> Callable:
        FORMATS[name] = Format(write, read_back, tolerances)
        return write

    return register


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in FORMAT_MODULES:
        raise UserError(f"format {name!r} is unknown; the formats are {', '.join(FORMAT_MODULES)}")
    importlib.import_module(FORMAT_MODULES[name])
    return FORMATS[name]


def choose_dtype(name: str, tolerances: dict[str, float], wanted: str | None) -> str:
    """The type of weights that a format writes: the wanted one, or its first.

    Raises:
        UserError: the format has no such type.
    """
    dtype = wanted or next(iter(tolerances))
    if dtype not in tolerances:
        raise UserError(
            f"format {name} cannot hold weights of type {dtype}; it has {', '.join(tolerances)}"
        )
    return dtype
