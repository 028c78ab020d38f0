"""GRPO against its formula in torch, and what a step of rewards without a signal does."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from model.llama import Llama
from tests.model.cases import lively, tiny_config
from training.config import TrainConfig
from training.objectives.config import GrpoConfig
from training.objectives.group_relative import GroupRelative
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")
ROWS, TIME, V = 4, 12, 50


@pytest.fixture(scope="module")
def columns():
    """A batch of four completions with prompts, padding, and log-probabilities from elsewhere."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, V, (ROWS, TIME + 1)).astype(np.int32)
    mask = np.zeros((ROWS, TIME), np.float32)
    segments = np.ones((ROWS, TIME), np.int32)
    for row, (begin, end) in enumerate(((3, 8), (2, 12), (5, 6), (1, 9))):
        mask[row, begin:end], segments[row, :end] = 1, 0
    advantages = np.array([1.2, -0.7, 0.0, 0.4], np.float32)
    old = (-4 + 0.3 * rng.standard_normal((ROWS, TIME))).astype(np.float32)
    reference = (old + 0.2 * rng.standard_normal(old.shape)).astype(np.float32)
    return [ids[:, :-1].copy(), ids[:, 1:].copy(), mask, segments, advantages, mask.sum(1),
            old * mask, reference * mask]  # fmt: skip


class Differentiated(GroupRelative):
    """The sums, and the gradient of the loss by the weights."""

    def __init__(self, network, config):
        super().__init__(network, config)
        self.grad = ops.value_and_grad(
            GroupRelative(network, config), None, network.trainable_params(), has_aux=True
        )

    def construct(self, *batch):
        return self.grad(*batch)


def torch_loss(log_probs, columns, clip, high, beta):
    """sum of -min(ratio A, clip(ratio) A) + beta k3 over the new ids, as the paper writes it."""
    import torch

    mask, advantages, old, reference = (torch.tensor(columns[i]) for i in (2, 4, 6, 7))
    ratio = torch.exp(log_probs - old)
    bounded = torch.clamp(ratio, 1 - clip, 1 + high)
    gain = torch.min(ratio * advantages[:, None], bounded * advantages[:, None])
    kl = torch.exp(reference - log_probs) - (reference - log_probs) - 1
    return ((beta * kl - gain) * mask).sum(), (kl * mask).sum()


def test_loss_and_gradient_are_those_of_the_formula(columns):
    import torch

    config = GrpoConfig(clip=0.2, clip_high=0.3, beta=0.05)
    network = lively(Llama(tiny_config(document_mask=True)))
    (loss, count, (kl, _)), gradients = Differentiated(network, config)(*map(Tensor, columns))
    # By the chain rule: the gradient by the output table, from logits that torch makes again.
    h = network(Tensor(columns[0]), Tensor(columns[3])).asnumpy()
    table = torch.tensor(network.output.asnumpy(), requires_grad=True)
    states = torch.tensor(h, requires_grad=True)
    found = torch.log_softmax(states @ table.T, -1)
    chosen = found.gather(1, torch.tensor(columns[1].reshape(-1, 1)).long())
    expected, expected_kl = torch_loss(chosen.reshape(ROWS, TIME), columns, 0.2, 0.3, 0.05)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(kl) == pytest.approx(float(expected_kl), rel=1e-5)
    assert float(count) == columns[2].sum()
    expected.backward()
    # The last norm's weight scales the hidden states alone, so its gradient is known from theirs.
    names = [p.name for p in network.trainable_params()]
    weight = network.norm.weight.asnumpy()
    truth = (states.grad.numpy() * h).sum(0) / weight
    ours = gradients[names.index("norm.weight")].asnumpy()
    np.testing.assert_allclose(ours, truth, rtol=0, atol=1e-5 * np.abs(truth).max())


def test_without_a_signal_nothing_changes(columns):
    config = GrpoConfig(beta=0.0)
    network = lively(Llama(tiny_config(document_mask=True)))
    before = [p.asnumpy().copy() for p in network.trainable_params()]
    train = TrainConfig(max_steps=3, warmup_steps=0, weight_decay=0.0)
    step = TrainStep(GroupRelative(network, config), train)
    nothing = [*columns[:4], np.zeros(ROWS, np.float32), *columns[5:]]
    outputs = step(*map(Tensor, nothing))
    assert float(outputs[0]) == 0 and float(outputs[1]) == 0
    for parameter, value in zip(network.trainable_params(), before):
        assert np.array_equal(parameter.asnumpy(), value)
    assert outputs[4].shape == (2,), "kl and the clipped share follow"
