"""Shifted sparse attention: what it sees, and that one group is full attention."""

import numpy as np
import pytest
from mindspore import Tensor

from model.adapters import add_adapters
from model.config import AdapterConfig
from model.llama import Llama
from model.shifted_attention import (
    Documents,
    ShiftedAttention,
    use_shifted_attention,
    with_full_attention,
)
from tests.model.cases import TINY, Gradients, LossAndLogits, batch, lively, tensors, tiny_config

pytestmark = pytest.mark.usefixtures("graph_mode")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("n_kv_heads", "document_mask"),
    [
        (4, True),
        (2, False),
        pytest.param(4, False, marks=pytest.mark.slow),
        pytest.param(2, True, marks=pytest.mark.slow),
    ],
)
def test_one_group_is_full_attention(n_kv_heads, document_mask):
    config = tiny_config(n_kv_heads=n_kv_heads, document_mask=document_mask)
    network, inputs = lively(Llama(config, seed=None)), tensors(batch())
    (full_loss, full), full_gradients = Gradients(network)(*inputs)
    use_shifted_attention(network, TINY["max_seq_len"])
    (loss, logits), gradients = Gradients(network)(*inputs)
    assert np.array_equal(full.asnumpy(), logits.asnumpy())
    assert full_loss.asnumpy() == loss.asnumpy()
    for right, found in zip(full_gradients, gradients):
        assert np.array_equal(right.asnumpy(), found.asnumpy())


def seen_by_formula(time: int, group: int, shifted: bool) -> np.ndarray:
    """Which position (column) each position (row) sees: (T, T) bool."""
    place = np.arange(time)
    groups = (place + group // 2 if shifted else place) // group
    return (groups[:, None] == groups) & (place[:, None] >= place)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 3), (4, 1), (3, 1)])
@pytest.mark.parametrize("time", [12, 10])
def test_each_half_sees_its_groups(heads, time):
    """Against softmax(q k^T / sqrt(C)) v in numpy, rows of whole and of broken groups."""
    n_heads, n_kv_heads = heads
    q, k, v = (
        normal(2, n_heads, time, 8),
        *(normal(2, n_kv_heads, time, 8, seed=seed) for seed in (1, 2)),
    )
    documents = np.cumsum(np.random.default_rng(4).random((2, time)) < 0.2, 1).astype(np.int32)
    found = ShiftedAttention(8, 4)(*map(Tensor, (q, k, v, documents))).asnumpy()

    kept = n_kv_heads // 2 * (n_heads // n_kv_heads) or n_heads // 2
    same = documents[:, :, None] == documents[:, None]
    for head in range(n_heads):
        key_head = head // (n_heads // n_kv_heads)
        logits = q[:, head] @ k[:, key_head].swapaxes(1, 2) / np.sqrt(8)
        seen = seen_by_formula(time, 4, shifted=head >= kept) & same
        p = np.where(seen, np.exp(logits), 0)
        right = p / p.sum(-1, keepdims=True) @ v[:, key_head]
        np.testing.assert_allclose(found[:, head], right, atol=1e-5)


def test_no_position_sees_what_comes_after_it():
    """A change of the last id moves no earlier logit, not even by a bit, in any layer."""
    network = lively(Llama(tiny_config(n_layers=3), seed=None))
    use_shifted_attention(network, 4)
    run = LossAndLogits(network)
    inputs = batch()
    before = run(*tensors(inputs))[1].asnumpy()
    inputs[0][:, -1] = (inputs[0][:, -1] + 1) % TINY["vocab_size"]
    after = run(*tensors(inputs))[1].asnumpy()
    assert np.array_equal(before[:, :-1], after[:, :-1])
    assert not np.allclose(before[:, -1], after[:, -1])


def test_what_is_known_flows_from_group_to_group():
    """Three layers carry the first id farther than a group of four positions."""
    network = lively(Llama(tiny_config(n_layers=3), seed=None))
    use_shifted_attention(network, 4)
    run = LossAndLogits(network)
    inputs = batch()
    before = run(*tensors(inputs))[1].asnumpy()
    inputs[0][:, 0] = (inputs[0][:, 0] + 1) % TINY["vocab_size"]
    moved = (run(*tensors(inputs))[1].asnumpy() != before).any(axis=(0, 2))
    assert moved[:6].all() and not moved[8:].any()


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_a_twin_with_full_attention_follows_what_is_trained(tie_embeddings):
    config, lora = tiny_config(tie_embeddings=tie_embeddings), AdapterConfig(kind="lora", rank=2)
    network = lively(Llama(config, seed=None))
    add_adapters(network, lora)
    use_shifted_attention(network, 4)
    plain = Llama(config, seed=None)
    add_adapters(plain, lora, seed=None)
    twin = with_full_attention(network, plain)
    assert [id(p) for p in twin.get_parameters()] == [id(p) for p in network.get_parameters()]
    assert [p.name for p in twin.get_parameters()] == [n for n, _ in network.parameters_and_names()]
    inputs = tensors(batch())
    reference = lively(Llama(config, seed=None))
    run, run_reference = LossAndLogits(twin), LossAndLogits(reference)
    assert np.array_equal(run(*inputs)[1].asnumpy(), run_reference(*inputs)[1].asnumpy())
    for each in (network, reference):
        each.embedding.set_data(each.embedding * 2)
    assert np.array_equal(run(*inputs)[1].asnumpy(), run_reference(*inputs)[1].asnumpy())


def test_one_head_cannot_be_halved():
    network = Llama(tiny_config(n_heads=1), seed=None)
    with pytest.raises(ValueError, match="attention_group needs two heads or more"):
        use_shifted_attention(network, 4)


def test_documents_see_each_other_unless_they_are_masked():
    segments = Tensor(np.array([[0, 1, 1]], np.int32))
    assert np.array_equal(Documents(True)(segments).asnumpy(), segments.asnumpy())
    assert not Documents(False)(segments).asnumpy().any()
