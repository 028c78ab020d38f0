"""Low-rank adapters: what they compute, what is trained, and merging."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from model.adapters import (
    A,
    B,
    LoraLinear,
    adapter_shapes,
    add_adapters,
    count_trained,
    merge,
    training_flops,
)
from model.config import MATRICES, AdapterConfig, ModelConfig
from model.llama import Llama, Logits
from tests.model.cases import (
    Gradients,
    LossAndLogits,
    batch,
    lively,
    numpy_keep,
    tensors,
    tiny_config,
    values,
)

pytestmark = pytest.mark.usefixtures("graph_mode")

GROUPED = {"n_kv_heads": 2, "attention_bias": True, "tie_embeddings": False}


def adapted(config: AdapterConfig, **changes) -> Llama:
    network = lively(Llama(tiny_config(**changes), seed=None))
    add_adapters(network, config)
    return network


def test_an_adapted_network_begins_as_its_base_and_equals_its_merged_weights():
    """The seven matrices of a network with fewer key heads, whose adapters move its logits."""
    config = AdapterConfig(kind="lora", rank=3, alpha=7.0)
    network, inputs = adapted(config, **GROUPED), tensors(batch())
    base = lively(Llama(network.config, seed=None))
    run, run_base = LossAndLogits(network), LossAndLogits(base)
    before = run(*inputs)[1].asnumpy()
    assert np.array_equal(before, run_base(*inputs)[1].asnumpy())

    rng = np.random.default_rng(3)
    for parameter in network.trainable_params():
        parameter.set_data(Tensor(0.3 * rng.standard_normal(parameter.shape).astype(np.float32)))
    after = run(*inputs)[1].asnumpy()
    assert np.abs(after - before).max() > 0.1

    trained = {p.name: p.asnumpy() for p in network.trainable_params()}
    read = merge(values(base).get, trained.get, trained, config.scale)
    for name, parameter in base.parameters_and_names():
        parameter.set_data(Tensor(read(name)))
    merged = run_base(*inputs)[1].asnumpy()
    assert np.abs(merged - after).max() <= 1e-5 * max(1, np.abs(after).max())
    wq = network.layers[0].attention.wq
    assert np.array_equal(wq.merged_weight(), read("layers.0.attention.wq.weight"))


@pytest.mark.slow
def test_merged_logits_at_24_million_parameters():
    """An adapter of rank 8 whose matrices are as large as training makes them."""
    model = ModelConfig(vocab_size=64794)
    network, base = Llama(model), Llama(model)
    config = AdapterConfig(kind="lora")
    add_adapters(network, config)
    rng = np.random.default_rng(3)
    for parameter in network.trainable_params():
        parameter.set_data(Tensor(0.05 * rng.standard_normal(parameter.shape).astype(np.float32)))
    tokens = Tensor(rng.integers(0, model.vocab_size, (1, 64)).astype(np.int32))
    segments = Tensor(np.zeros((1, 64), np.int32))
    before = Logits(base)(tokens, segments).asnumpy()
    after = Logits(network)(tokens, segments).asnumpy()
    trained = {p.name: p.asnumpy() for p in network.trainable_params()}
    read = merge(values(base).get, trained.get, trained, config.scale)
    for name, parameter in base.parameters_and_names():
        parameter.set_data(Tensor(read(name)))
    merged = Logits(base)(tokens, segments).asnumpy()
    difference = np.abs(merged - after).max()
    print(f"moved by {np.abs(after - before).max():.3f}, merged differs by {difference:.1e}")
    assert np.abs(after - before).max() > 0.1
    assert difference <= 1e-5


def test_only_what_the_config_names_is_trained():
    config = AdapterConfig(kind="lora", targets=["wv", "w2"], train_embedding=True)
    network = adapted(config, **GROUPED)
    trained = {p.name: p.shape for p in network.trainable_params()}
    assert trained == adapter_shapes(network.config, config)
    assert {"embedding", "output", f"layers.1.feed_forward.w2.{B}"} <= trained.keys()
    assert not isinstance(network.layers[0].attention.wq, LoraLinear)
    names = [name for name, _ in network.parameters_and_names()]
    plain = [p.name for p in Llama(network.config, seed=None).get_parameters()]
    assert [p.name for p in network.get_parameters()] == names
    assert {name for name in names if not name.endswith((A, B))} == set(plain)


def test_norms_and_a_tied_table_can_be_trained_as_well():
    config = AdapterConfig(kind="lora", train_embedding=True, train_norms=True)
    network = adapted(config)
    trained = {p.name: p.shape for p in network.trainable_params()}
    assert trained == adapter_shapes(network.config, config)
    assert "output" not in trained and "norm.weight" in trained
    for layer in network.layers:
        assert all(isinstance(getattr(layer.attention, name), LoraLinear) for name in MATRICES[:4])


def test_the_adapter_begins_anew_from_its_seed():
    first, same, other = (lively(Llama(tiny_config(), seed=None)) for _ in range(3))
    config = AdapterConfig(kind="lora")
    for network, seed in ((first, 0), (same, 0), (other, 1)):
        add_adapters(network, config, seed)
    name = f"layers.0.attention.wq.{A}"
    bound = first.config.dim**-0.5
    assert 0.9 * bound < np.abs(values(first)[name]).max() <= bound
    assert np.array_equal(values(first)[name], values(same)[name])
    assert not np.array_equal(values(first)[name], values(other)[name])
    assert not np.array_equal(values(first)[name], values(first)[name.replace("wq", "wk")])
    assert not any(values(first)[n].any() for n in values(first) if n.endswith(B))


class OneLayer(nn.Cell):
    def __init__(self, layer, sens):
        super().__init__()
        self.layer, self.sens = layer, Tensor(sens)
        self.grad = ops.value_and_grad(self.loss, 0, tuple(layer.trainable_params()))

    def loss(self, x, row_keys):
        return ops.reduce_sum(self.layer(x, row_keys) * self.sens)

    def construct(self, x, row_keys):
        return self.grad(x, row_keys)


@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize("name", ["w2", "wo"])
def test_gradients_of_a_layer_are_those_of_the_formula(name, rate):
    """y = x W^T + (alpha / r) (m x / (1 - rate)) A^T B^T, m being what dropout keeps."""
    network = adapted(AdapterConfig(kind="lora", rank=2, alpha=3.0, dropout=rate))
    part = "feed_forward" if name == "w2" else "attention"
    layer = getattr(getattr(network.layers[0], part), name)
    rng = np.random.default_rng(5)
    layer.lora_b.set_data(Tensor(rng.standard_normal(layer.lora_b.shape).astype(np.float32)))
    w, a, b = (p.asnumpy().astype(np.float64) for p in (layer.weight, layer.lora_a, layer.lora_b))
    time, width, keys = 12, w.shape[1], np.array([5, -6], np.int32)
    x, sens = rng.standard_normal((2 * time, width)), rng.standard_normal((2 * time, 32))
    inputs = Tensor(x.astype(np.float32)), Tensor(keys)
    found, (dx, (da, db)) = OneLayer(layer, sens.astype(np.float32))(*inputs)
    kept = np.ones_like(x)
    if rate:
        widest = time * network.config.hidden_dim
        kept = numpy_keep(rate, keys, layer.salt, time, width, widest) / (1 - rate)
        assert 0.15 < (kept == 0).mean() < 0.35
    scale = 3.0 / 2
    y = x @ w.T + scale * (kept * x) @ a.T @ b.T
    assert abs(found.asnumpy() - (y * sens).sum()) < 1e-3
    np.testing.assert_allclose(dx.asnumpy(), sens @ w + kept * (scale * sens @ b @ a), atol=1e-4)
    np.testing.assert_allclose(da.asnumpy(), scale * b.T @ sens.T @ (kept * x), atol=1e-4)
    np.testing.assert_allclose(db.asnumpy(), scale * sens.T @ (kept * x) @ a.T, atol=1e-4)


def test_each_adapter_drops_apart_from_the_others_and_from_the_network():
    network = adapted(AdapterConfig(kind="lora", targets=["wo", "w1"], dropout=0.5))
    layers = network.layers
    salts = [s for layer in layers for s in (layer.attention.wo.salt, layer.feed_forward.w1.salt)]
    used = [0, *(salt for layer in layers for salt in layer.salts)]
    assert len({*salts, *used}) == len(salts) + len(used)
    dropouts = {id(layer.attention.wo.dropout) for layer in layers}
    assert dropouts == {id(layers[0].feed_forward.w1.dropout)}, "the codes are held once"


def test_a_gradient_for_each_trained_parameter_and_no_other():
    network = adapted(AdapterConfig(kind="lora", targets=["wo"]))
    _, gradients = Gradients(network)(*tensors(batch()))
    assert [g.shape for g in gradients] == [p.shape for p in network.trainable_params()]
    assert len(gradients) == 4


def test_operations_of_frozen_weights_and_of_groups():
    model = tiny_config(**GROUPED)
    table = model.padded_vocab_size * model.dim
    full, used = model.flops_per_token(), model.n_params(embedding=False) + table
    assert training_flops(model, AdapterConfig()) == full
    lora = AdapterConfig(kind="lora", rank=1, targets=["w2"])
    low = 2 * (32 + 48)
    assert count_trained(model, lora) == (0, low)
    assert training_flops(model, lora) == full - 2 * used + 6 * low
    tables = AdapterConfig(kind="lora", rank=1, targets=["w2"], train_embedding=True)
    assert count_trained(model, tables) == (2 * table, low)
    assert training_flops(model, tables) == full - 2 * (used - table) + 6 * low
    assert training_flops(model, AdapterConfig(attention_group=4)) == model.flops_per_token(4)
