"""PPO against its formula in torch, native kernels against plain ones, and where nothing moves."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from model.llama import Llama
from tests.model.cases import lively, tiny_config
from training.config import TrainConfig
from training.objectives.config import PpoConfig
from training.objectives.proximal_policy import ProximalPolicy
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")
ROWS, TIME, V = 4, 12, 50
CONFIG = PpoConfig(clip=0.2, clip_high=0.3, value_coef=0.3, value_clip=0.2)


@pytest.fixture(scope="module")
def columns():
    """Four completions with prompts and padding; log-probabilities and values from elsewhere."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, V, (ROWS, TIME + 1)).astype(np.int32)
    mask = np.zeros((ROWS, TIME), np.float32)
    segments = np.ones((ROWS, TIME), np.int32)
    for row, (begin, end) in enumerate(((3, 8), (2, 12), (5, 6), (1, 9))):
        mask[row, begin:end], segments[row, :end] = 1, 0
    advantages, returns, old_values = rng.standard_normal((3, ROWS, TIME)).astype(np.float32)
    old = (-4 + 0.3 * rng.standard_normal((ROWS, TIME))).astype(np.float32)
    return [ids[:, :-1].copy(), ids[:, 1:].copy(), mask, segments,
            advantages * mask, returns * mask, mask.sum(1),
            old * mask, old_values * mask]  # fmt: skip


def network_of(native: bool = False) -> Llama:
    shape = tiny_config(document_mask=True, tie_embeddings=False, value_head=True)
    return lively(Llama(shape, native=native))


class Differentiated(ProximalPolicy):
    """The sums, and the gradient of the loss by the weights."""

    def __init__(self, network, config):
        super().__init__(network, config)
        self.grad = ops.value_and_grad(
            ProximalPolicy(network, config), None, network.trainable_params(), has_aux=True
        )

    def construct(self, *batch):
        return self.grad(*batch)


def torch_sums(log_probs, values, columns, config):
    """As trl's PPO has it: the larger of both losses, summed over the mask."""
    import torch

    mask, advantages, returns, old, old_values = (torch.tensor(columns[i]) for i in (2, 4, 5, 7, 8))
    ratio = torch.exp(log_probs - old)
    bounded = torch.clamp(ratio, 1 - config.clip, 1 + config.clip_high)
    policy = torch.max(-advantages * ratio, -advantages * bounded)
    errors = torch.square(values - returns)
    if config.value_clip is not None:
        near = torch.clamp(values, old_values - config.value_clip, old_values + config.value_clip)
        errors = torch.max(errors, torch.square(near - returns))
    value_loss = 0.5 * (errors * mask).sum()
    clipped = ((ratio != bounded) * mask).sum()
    return (policy * mask).sum() + config.value_coef * value_loss, value_loss, clipped


@pytest.mark.parametrize("native", [False, True], ids=["plain", "native"])
@pytest.mark.parametrize("value_clip", [0.2, None])
def test_loss_and_gradient_are_those_of_the_formula(columns, native, value_clip):
    import torch

    config = PpoConfig(clip=0.2, clip_high=0.3, value_coef=0.3, value_clip=value_clip)
    network = network_of(native)
    (loss, count, measures), gradients = Differentiated(network, config)(*map(Tensor, columns))
    # Torch makes logits and values again from the hidden states, and so the gradients by these.
    h = network(Tensor(columns[0]), Tensor(columns[3])).asnumpy()
    states, table, head = (
        torch.tensor(x, requires_grad=True)
        for x in (h, network.output.asnumpy(), network.value_head.asnumpy())
    )
    found = torch.log_softmax(states @ table.T, -1)
    chosen = found.gather(1, torch.tensor(columns[1].reshape(-1, 1)).long())
    shape = (ROWS, TIME)
    expected = torch_sums(chosen.reshape(shape), (states @ head).reshape(shape), columns, config)
    ours = [float(x) for x in (loss, *measures)]
    assert ours == pytest.approx([float(x.detach()) for x in expected], rel=1e-5)
    assert ours[2] > 0 and float(count) == columns[2].sum()
    expected[0].backward()
    # The last norm's weight scales the hidden states alone, so its gradient is known from theirs.
    truths = {
        "output": table.grad.numpy(),
        "value_head": head.grad.numpy(),
        "norm.weight": (states.grad.numpy() * h).sum(0) / network.norm.weight.asnumpy(),
    }
    names = [p.name for p in network.trainable_params()]
    for name, truth in truths.items():
        ours = gradients[names.index(name)].asnumpy()
        np.testing.assert_allclose(ours, truth, rtol=0, atol=1e-5 * np.abs(truth).max())


def test_steps_of_native_kernels_are_those_of_the_plain_form(columns):
    train = TrainConfig(max_steps=5, warmup_steps=0, learning_rate=0.01, optimizer="muon")
    steps = []
    for native in (False, True):
        network = network_of(native)
        step = TrainStep(ProximalPolicy(network, CONFIG), train, 2, native=native)
        for _ in range(3):
            for part in (slice(0, 2), slice(2, 4)):
                outputs = step(*(Tensor(column[part]) for column in columns))
        measured = [float(x) for x in outputs[:2]] + outputs[4].asnumpy().tolist()
        steps.append((measured, {p.name: p.asnumpy() for p in network.get_parameters()}))
    (plain, truth), (native, weights) = steps
    assert native == pytest.approx(plain, rel=1e-4)
    for name, value in truth.items():
        np.testing.assert_allclose(weights[name], value, rtol=0, atol=2e-4, err_msg=name)


def trained_on(columns, network) -> tuple[list[float], set[str]]:
    """Loss and norm of one step, and the names of the weights that it changed."""
    before = {p.name: p.asnumpy().copy() for p in network.trainable_params()}
    train = TrainConfig(max_steps=3, warmup_steps=0, weight_decay=0.0)
    outputs = TrainStep(ProximalPolicy(network, CONFIG), train)(*map(Tensor, columns))
    after = {p.name: p.asnumpy() for p in network.trainable_params()}
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    return [float(x) for x in outputs[:2]], moved


def test_without_a_signal_nothing_changes(columns):
    """Reward 0, no reference and a value head of zeros: advantages and returns are 0."""
    network = network_of()
    network.value_head.set_data(Tensor(np.zeros(network.config.dim, np.float32)))
    nothing = np.zeros((ROWS, TIME), np.float32)
    silent = [*columns[:4], nothing, nothing, *columns[6:8], nothing]
    assert trained_on(silent, network) == ([0.0, 0.0], set())


def test_the_value_loss_alone_moves_the_trunk_once_the_head_is_not_zero(columns):
    """With advantages of 0 the policy has no gradient; the head's reaches it through the trunk."""
    nothing = np.zeros((ROWS, TIME), np.float32)
    values_only = [*columns[:4], nothing, *columns[5:]]
    network = network_of()
    network.value_head.set_data(Tensor(np.zeros(network.config.dim, np.float32)))
    assert trained_on(values_only, network)[1] == {"value_head"}, "a head of zeros hands nothing on"
    moved = trained_on(values_only, network_of())[1]
    assert "layers.0.attention.wq.weight" in moved and "value_head" in moved
    assert "output" not in moved, "the table of logits is the policy's own"
