"""Tiny networks and batches that the tests of this folder share."""

import numpy as np
from mindspore import ParameterTuple, Tensor, nn, ops

from model.config import ModelConfig
from model.dropout import CODES_SEED
from model.llama import Llama, Logits
from training.objectives.cross_entropy import NextToken

TINY = {
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_seq_len": 12,
    "vocab_size": 50,
    "rope_theta": 100.0,  # so that twelve positions turn visibly
}


def tiny_config(**changes) -> ModelConfig:
    return ModelConfig(**{**TINY, **changes})


def lively(network: Llama, seed: int = 1) -> Llama:
    """Draw all parameters so large that logits and gradients are of order 1, biases included."""
    rng = np.random.default_rng(seed)
    for name, parameter in network.parameters_and_names():
        centre = 1.0 if name.endswith("norm.weight") else 0.0
        values = centre + 0.2 * rng.standard_normal(parameter.shape)
        parameter.set_data(Tensor(values.astype(np.float32)))
    return network


def batch(time: int = TINY["max_seq_len"], rows: int = 2, seed: int = 2) -> list[np.ndarray]:
    """Random tokens, targets, loss weights (some 0) and two or three documents a row."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, TINY["vocab_size"], (rows, time + 1)).astype(np.int32)
    weight = rng.choice([0.0, 0.5, 1.0], (rows, time)).astype(np.float32)
    segments = np.cumsum(rng.random((rows, time)) < 0.2, axis=1).astype(np.int32)
    return [tokens[:, :-1].copy(), tokens[:, 1:].copy(), weight, segments]


def tensors(arrays) -> list[Tensor]:
    return [Tensor(array) for array in arrays]


def values(network) -> dict[str, np.ndarray]:
    return {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}


def numpy_mix(x):
    x = np.asarray(x, np.uint32)
    for bits, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(bits))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def numpy_keys(seed, step, places):
    with np.errstate(over="ignore"):
        first = numpy_mix(numpy_mix(seed) + np.uint32(step))
        return numpy_mix(first + np.asarray(places, np.uint32))


def numpy_keep(rate, keys, salt, time, dim, codes=None):
    """What dropout keeps, (rows T, D): the formula of its docstring, in unsigned numbers.

    `codes`: for how many numbers of a row it was made; None: T D.
    """
    rng = np.random.default_rng(CODES_SEED)
    codes = rng.integers(-(2**31), 2**31, (1, codes or time * dim))[:, : time * dim] | 1
    with np.errstate(over="ignore"):
        keys = numpy_mix(np.asarray(keys, np.uint32) + np.uint32(salt)) * np.uint32(2) + 1
        product = codes.astype(np.int32).view(np.uint32) * keys.astype(np.uint32)[:, None]
    # Signed order: the upper half of the unsigned numbers comes first.
    return ((product ^ np.uint32(2**31)) >= round(rate * 2**32)).reshape(-1, dim)


class LossAndLogits(nn.Cell):
    def __init__(self, network):
        super().__init__(auto_prefix=False)  # parameters keep their names
        self.objective, self.logits = NextToken(network), Logits(network)

    def construct(self, tokens, targets, loss_weight, segment_ids):
        loss, _, _ = self.objective(tokens, targets, loss_weight, segment_ids)
        return loss, self.logits(tokens, segment_ids)


class Gradients(nn.Cell):
    """One graph for ((loss, logits), gradients)."""

    def __init__(self, network):
        super().__init__(auto_prefix=False)
        weights = ParameterTuple(network.trainable_params())
        self.grad = ops.value_and_grad(LossAndLogits(network), None, weights, has_aux=True)

    def construct(self, tokens, targets, loss_weight, segment_ids):
        return self.grad(tokens, targets, loss_weight, segment_ids)
