"""Data parallel over ranks: who we are, and sums over all of us."""

import os
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.communication import get_group_size, get_rank, init


@dataclass(frozen=True)
class World:
    """This process among all that train together."""

    rank: int = 0
    size: int = 1


def launched() -> bool:
    """Whether a launcher (msrun) started this process as one of several."""
    return "MS_ROLE" in os.environ


def join_world() -> World:
    """Join the other ranks if a launcher started us, else be alone."""
    if not launched():
        return World()
    init()
    return World(get_rank(), get_group_size())


class _Same(nn.Cell):
    """What a lone process does in place of a reduction."""

    def construct(self, x):
        return x


def all_reduce_sum() -> nn.Cell:
    """A cell that sums a float32 tensor over the ranks."""
    return ops.AllReduce() if launched() else _Same()


def values_of_all(value: float, world: World) -> list[float]:
    """What every rank calls this with, by rank, in float32; it returns when all have called."""
    if world.size == 1:
        return [value]
    return ops.AllGather()(Tensor(np.array([value], np.float32))).asnumpy().tolist()


def gradient_reducer(weights) -> nn.Cell:
    """A cell that sums the gradients of `weights` over the ranks."""
    if not launched():
        return _Same()
    return nn.DistributedGradReducer(weights, mean=False, degree=get_group_size())
