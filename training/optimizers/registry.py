"""The optimizers by the names that recipes give them."""

from training.config import TrainConfig
from training.optimizers.adamw import AdamW
from training.optimizers.base import Optimizer
from training.optimizers.muon import Muon
from training.parallel import World

OPTIMIZERS = {"adamw": AdamW, "muon": Muon}


def make_optimizer(
    parameters, config: TrainConfig, world: World, buffer=None, exchange=None
) -> Optimizer:
    """The optimizer of this rank; with `shard_optimizer` its moments are shared by all ranks.

    With a `GradientBuffer`, and the ranks' `exchange` of it, it is that of the native kernels,
    which take their gradients from there.
    """
    sharers = world if config.shard_optimizer else World()
    if buffer is not None:
        from training.optimizers.native import NATIVE_OPTIMIZERS

        return NATIVE_OPTIMIZERS[config.optimizer](parameters, config, sharers, buffer, exchange)
    return OPTIMIZERS[config.optimizer](parameters, config, sharers)


def describe_optimizer(config: TrainConfig) -> str:
    """The optimizer in words, for reports."""
    adamw = f"AdamW ({config.beta1:g}, {config.beta2:g})"
    if config.optimizer == "adamw":
        return adamw
    return f"Muon ({config.muon_momentum:g}) for the blocks' matrices, {adamw} for all else"
