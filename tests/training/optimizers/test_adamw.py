"""AdamW against numpy."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor
from mindspore import dtype as mstype

from tests.training.numpy_adamw import NumpyAdamW
from training.config import TrainConfig
from training.optimizers.adamw import AdamW
from training.parallel import World

pytestmark = pytest.mark.usefixtures("graph_mode")

SHAPES = {"matrix": (4, 3), "vector": (3,), "cube": (2, 2, 2)}


def draw(rng) -> list[np.ndarray]:
    return [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES.values()]


def make(config: TrainConfig, weights):
    parameters = [Parameter(Tensor(w), name=name) for name, w in zip(SHAPES, weights)]
    optimizer = AdamW(parameters, config, World())

    def update(gradients, lr, step):
        rate, step = Tensor(lr, mstype.float32), Tensor(step, mstype.int32)
        optimizer(tuple(map(Tensor, gradients)), rate, step)
        return [p.asnumpy() for p in parameters]

    return optimizer, update


@pytest.mark.parametrize(
    "beta2, adam_eps", [(0.95, 1e-8), pytest.param(0.999, 1e-2, marks=pytest.mark.slow)]
)
def test_eight_steps(beta2, adam_eps):
    config = TrainConfig(beta2=beta2, adam_eps=adam_eps, weight_decay=0.3)
    rng = np.random.default_rng(0)
    weights = draw(rng)
    reference = NumpyAdamW(weights, config)
    optimizer, update = make(config, weights)
    for step in range(8):
        gradients, lr = draw(rng), 0.01 * (step + 1) / 8
        reference.update(gradients, lr)
        for ours, truth in zip(update(gradients, lr, step), reference.weights):
            np.testing.assert_allclose(ours, truth, rtol=0, atol=1e-6)
    for ours, truth in zip((*optimizer.m, *optimizer.v), (*reference.m, *reference.v)):
        np.testing.assert_allclose(ours.asnumpy(), truth, rtol=1e-5, atol=1e-7)


def test_only_matrices_decay_and_a_rate_of_0_changes_nothing():
    config = TrainConfig(weight_decay=0.5)
    weights = draw(np.random.default_rng(1))
    optimizer, update = make(config, weights)
    nothing = [np.zeros_like(w) for w in weights]
    for before, after in zip(weights, update(nothing, 0.1, 0)):
        factor = 0.95 if before.ndim > 1 else 1.0
        np.testing.assert_allclose(after, before * factor, rtol=1e-6)
    weights = [p.asnumpy().copy() for p in optimizer.weights]
    for before, after in zip(weights, update(draw(np.random.default_rng(2)), 0.0, 1)):
        assert np.array_equal(before, after)


def test_moments_are_saved_under_the_weights_names():
    optimizer, _ = make(TrainConfig(), draw(np.random.default_rng(3)))
    assert [p.name for p in optimizer.m] == [f"adam_m.{name}" for name in SHAPES]
    assert [p.name for p in optimizer.v] == [f"adam_v.{name}" for name in SHAPES]
    assert not optimizer.m[0].requires_grad
