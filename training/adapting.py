"""What a run trains of its network: all weights, or an adapter beside frozen ones."""

from model.adapters import add_adapters, is_adapter
from model.llama import Llama
from model.shifted_attention import use_shifted_attention, with_full_attention
from runs.base import Base
from runs.checkpoint import copy_values
from training.initial import InitialWeights
from training.prepared import PreparedRun


def make_network(prepared: PreparedRun) -> Llama:
    """The network to train, with random weights; adapters begin by changing nothing.

    `train.recompute` and `adapter.attention_group` are put into effect.
    """
    config, adapter = prepared.config, prepared.run.recipe.adapter
    network = Llama(prepared.model, prepared.dtype, config.seed, prepared.native)
    if adapter.kind == "lora":
        add_adapters(network, adapter, config.seed)
    if adapter.attention_group is not None:
        use_shifted_attention(network, adapter.attention_group)
    if config.recompute:
        for block in network.layers:
            block.recompute()
    return network


def measured_network(prepared: PreparedRun, network: Llama) -> Llama:
    """What held-out data is measured with: the network as it will be used, with full attention."""
    adapter = prepared.run.recipe.adapter
    if adapter.attention_group is None:
        return network
    plain = Llama(prepared.model, prepared.dtype, seed=None, native=prepared.native)
    if adapter.kind == "lora":
        add_adapters(plain, adapter, seed=None)
    return with_full_attention(network, plain)


def find_base(prepared: PreparedRun, network: Llama, initial: InitialWeights) -> Base:
    """The base of an adapter that begins; it is written where no checkpoint of a run holds it.

    Raises:
        UserError: the disk is full.
    """
    checkpoint = initial.checkpoint
    if checkpoint is not None and not checkpoint.has_adapter:
        return Base.of(checkpoint)
    frozen = [p for p in network.get_parameters() if not is_adapter(p.name)]
    return Base.write(prepared.run.path, copy_values(frozen))
