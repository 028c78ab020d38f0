"""What the decode steps read of a block."""

import pytest
from mindspore import Parameter, Tensor

from generation.cache import Cache, DecodeStep
from generation.cpu_decode import CpuDecodeStep
from model.adapters import add_adapters
from model.block_parts import parts_of
from model.config import AdapterConfig
from model.llama import Llama
from model.norm import RMSNorm
from tests.model.cases import tiny_config


def test_all_parameters_are_parts():
    network = Llama(tiny_config(attention_bias=True))
    add_adapters(network, AdapterConfig(kind="lora"))
    block = network.layers[0]
    parts = parts_of(block)
    assert parts.attention[3] is block.attention.wo
    assert parts.feed_forward[1] is block.feed_forward.w2
    found = [parts.attention_norm, parts.ffn_norm]
    found += [p for cell in parts.attention + parts.feed_forward for p in cell.get_parameters()]
    assert {id(p) for p in found} == {id(p) for p in block.get_parameters()}


@pytest.mark.parametrize("step", [DecodeStep, CpuDecodeStep])
@pytest.mark.parametrize("where", ["attention.key_norm.weight", "scale"])
def test_a_decode_step_refuses_what_it_would_leave_out(step, where):
    network = Llama(tiny_config())
    if where == "scale":
        network.layers[1].scale = Parameter(Tensor([1.0]), name="scale")
    else:
        network.layers[1].attention.key_norm = RMSNorm(8, 1e-5)
    with pytest.raises(TypeError, match=f"do not know these weights of a block: .*{where}"):
        step(network, Cache(network.config, 1, 12))
