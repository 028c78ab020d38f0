"""The forms for the CPU against their plain references, and who gets which."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from model.attention import AttentionBias, CpuAttention, PlainAttention, attention
from model.feed_forward import CpuSwiGLU, PlainSwiGLU, swiglu
from model.head import CrossEntropy, Head, PlainCrossEntropy, PlainTokenLogProbs, TokenLogProbs
from model.norm import CpuRMSNorm, PlainRMSNorm, rms_norm
from model.rope import CpuRotary, PlainRotary, rope_tables, rotary
from tests.model.cases import tiny_config

pytestmark = pytest.mark.usefixtures("graph_mode")


class Projected(nn.Cell):
    """Sum of a form's value times fixed numbers, so that every entry's gradient differs."""

    def __init__(self, form, sens, takes_first):
        super().__init__()
        self.form, self.sens, self.takes_first = form, Tensor(sens), takes_first

    def construct(self, *inputs):
        value = self.form(*inputs)
        if self.takes_first:
            value = value[0]
        return ops.reduce_sum(value * self.sens), value


class ValueAndGradients(nn.Cell):
    def __init__(self, form, sens, positions, takes_first=False):
        super().__init__()
        projected = Projected(form, sens, takes_first)
        self.grad = ops.value_and_grad(projected, positions, None, has_aux=True)

    def construct(self, *inputs):
        (_, value), gradients = self.grad(*inputs)
        return value, gradients if isinstance(gradients, tuple) else (gradients,)


def check(cpu, plain, inputs, n_gradients, value_shape, takes_first=False):
    """Value and gradients of the first inputs agree to 1e-5, of the largest where larger than 1."""
    sens = np.random.default_rng(9).standard_normal(value_shape).astype(np.float32)
    positions = tuple(range(n_gradients))
    results = []
    for form in (cpu, plain):
        value, gradients = ValueAndGradients(form, sens, positions, takes_first)(*inputs)
        results.append([value.asnumpy(), *(gradient.asnumpy() for gradient in gradients)])
    for ours, reference in zip(*results):
        assert ours.shape == reference.shape and ours.dtype == reference.dtype == np.float32
        largest = np.abs(reference).max()
        assert largest > 0.1
        assert np.abs(ours - reference).max() <= 1e-5 * max(1.0, largest)


def normal(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_rms_norm():
    inputs = (normal(6, 16), normal(16, seed=1))
    check(CpuRMSNorm(16, 1e-5), PlainRMSNorm(1e-5), inputs, 2, (6, 16))


def test_rotary():
    config = tiny_config(max_seq_len=5)
    tables = [np.broadcast_to(t, (2, 3, 5, 4)).copy() for t in rope_tables(config)]
    inputs = (normal(2, 3, 5, 8), *map(Tensor, tables))
    check(CpuRotary(), PlainRotary(), inputs, 1, (2, 3, 5, 8))


def test_attention():
    """Two rows of documents, two key heads, three query heads to each."""
    segments = Tensor(np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]], np.int32))
    config = tiny_config(dim=48, n_heads=6, n_kv_heads=2, max_seq_len=5, document_mask=True)
    bias = AttentionBias(config)(segments)
    assert bias.shape == (2, 2, 15, 5)
    inputs = (normal(2, 6, 5, 8), normal(2, 2, 5, 8, seed=1), normal(2, 2, 5, 8, seed=2), bias)
    check(CpuAttention(8), PlainAttention(8), inputs, 3, (2, 6, 5, 8))


def test_swiglu():
    inputs = (normal(6, 10), normal(6, 10, seed=1))
    check(CpuSwiGLU(), PlainSwiGLU(), inputs, 2, (6, 10))


@pytest.fixture
def loss_inputs():
    """h, table, targets (one twice) and weights (one 0)."""
    targets = Tensor(np.array([0, 3, 3, 19, 7, 1], np.int32))
    weight = Tensor(np.array([1, 0.5, 2, 0, 1, 1], np.float32))
    return normal(6, 8), normal(20, 8, seed=1), targets, weight


@pytest.mark.parametrize("rows_at_once", [6, 4, 1])
def test_cross_entropy(loss_inputs, rows_at_once):
    head = Head(mstype.float32)
    chunked = CrossEntropy(head, chunk_bytes=rows_at_once * 20 * 4)
    check(chunked, PlainCrossEntropy(head), loss_inputs, 2, (), takes_first=True)


@pytest.mark.parametrize("form", [CrossEntropy, TokenLogProbs])
def test_the_table_may_be_frozen(loss_inputs, form):
    """The gradient of the hidden states is the same, and the table's is not made."""
    head = Head(mstype.float32)
    frozen = form(head, chunk_bytes=4 * 20 * 4, frozen_table=True)
    if form is CrossEntropy:
        check(frozen, PlainCrossEntropy(head), loss_inputs, 1, (), takes_first=True)
    else:
        check(frozen, PlainTokenLogProbs(head), loss_inputs[:3], 1, (6,))


@pytest.mark.parametrize("rows_at_once", [6, 4, 1])
def test_token_log_probabilities(loss_inputs, rows_at_once):
    head = Head(mstype.float32)
    chunked = TokenLogProbs(head, chunk_bytes=rows_at_once * 20 * 4)
    check(chunked, PlainTokenLogProbs(head), loss_inputs[:3], 2, (6,))


def test_the_cross_entropy_never_holds_all_logits(loss_inputs, monkeypatch):
    """Two of six rows at once: no product but the gradient of the table is taller."""
    head, seen = Head(mstype.float32), []
    form = CrossEntropy(head, chunk_bytes=2 * 20 * 4)

    def logits(h, table):
        seen.append(h.shape)
        return Head.construct(head, h, table)

    monkeypatch.setattr(head, "construct", logits)
    ms.set_context(mode=ms.PYNATIVE_MODE)
    form.construct(*loss_inputs)
    assert seen == [(2, 8)] * 3


def test_the_cross_entropy_of_an_impossible_target_is_finite(loss_inputs):
    h, table, targets, weight = loss_inputs
    value, gradients = ValueAndGradients(
        CrossEntropy(Head(mstype.float32)), np.float32(1), (0, 1), takes_first=True
    )(h * 1e3, table, targets, weight)
    for result in (value, *gradients):
        assert np.isfinite(result.asnumpy()).all()


CHOICES = [
    ("norm", rms_norm, (16, 1e-5), CpuRMSNorm, PlainRMSNorm),
    ("rope", rotary, (), CpuRotary, PlainRotary),
    ("attention", attention, (tiny_config(), mstype.float32), CpuAttention, PlainAttention),
    ("feed_forward", swiglu, (), CpuSwiGLU, PlainSwiGLU),
]


@pytest.mark.parametrize("module, choose, arguments, cpu, plain", CHOICES)
def test_the_device_chooses(module, choose, arguments, cpu, plain, monkeypatch):
    assert type(choose(*arguments)) is cpu  # these tests run on the CPU
    monkeypatch.setattr(f"model.{module}.on_cpu", lambda: False)
    assert type(choose(*arguments)) is plain
