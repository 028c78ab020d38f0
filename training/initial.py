"""Weights that a new run starts from, in place of random ones."""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor

from model.llama import Llama
from runs.checkpoint import Checkpoint


@dataclass(frozen=True)
class InitialWeights:
    """What is loaded into a new network; parameters without a value keep their random one."""

    weights: dict[str, np.ndarray]
    """float32 values by parameter name, each of its parameter's shape"""
    lines: list[str]
    """where they come from and what of it is not used, for the log"""

    checkpoint: Checkpoint | None = None
    """of a run, if it holds exactly these weights"""

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names and values."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]))
        return digest.hexdigest()

    def fill(self, network: Llama) -> None:
        """Put the values into a network."""
        parameters = {parameter.name: parameter for parameter in network.get_parameters()}
        for name, value in self.weights.items():
            parameters[name].set_data(Tensor(value))


@dataclass(frozen=True)
class Reference:
    """The network as it was before the first step, beside the one in training."""

    network: Llama
    fingerprint: str
    """of the weights that it began from"""
