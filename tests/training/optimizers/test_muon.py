"""Muon against numpy, what its updates are like, and the training step around it."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor
from mindspore import dtype as mstype

from tests.training.bigram import Bigram, bigram_batch
from tests.training.numpy_adamw import NumpyAdamW
from tests.training.numpy_muon import NumpyMuon
from training.config import TrainConfig
from training.optimizers.muon import Muon, Orthogonal
from training.parallel import World
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")

MATRICES = {"layers.0.wide": (3, 5), "layers.0.tall": (7, 4), "layers.1.square": (4, 4)}
OTHERS = {"embedding": (6, 3), "layers.0.norm": (5,)}
SHAPES = {"embedding": (6, 3), **MATRICES, "layers.0.norm": (5,)}


def draw(rng) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(s).astype(np.float32) for name, s in SHAPES.items()}


def make(config: TrainConfig, weights):
    parameters = [Parameter(Tensor(w), name=name) for name, w in weights.items()]
    optimizer = Muon(parameters, config, World())

    def update(gradients, lr, step):
        rate, step = Tensor(lr, mstype.float32), Tensor(step, mstype.int32)
        optimizer(tuple(map(Tensor, gradients.values())), rate, step)
        return {p.name: p.asnumpy().copy() for p in parameters}

    return optimizer, update


@pytest.fixture(scope="module")
def muon():
    """Weights, their optimizer, its update; compiled once."""
    config = TrainConfig(optimizer="muon", weight_decay=0.3, muon_momentum=0.9)
    weights = draw(np.random.default_rng(0))
    return (config, weights, *make(config, weights))


def test_six_steps_are_numpys(muon):
    config, weights, optimizer, update = muon
    rng = np.random.default_rng(1)
    truth = {name: NumpyMuon(weights[name], config) for name in MATRICES}
    rest = NumpyAdamW([weights[name] for name in OTHERS], config)
    for step in range(6):
        gradients, lr = draw(rng), 0.02 * (step + 1) / 6
        rest.update([gradients[name] for name in OTHERS], lr)
        for name, reference in truth.items():
            reference.update(gradients[name], lr)
        ours = update(gradients, lr, step)
        for name, reference in truth.items():
            np.testing.assert_allclose(ours[name], reference.weight, rtol=0, atol=3e-6)
        for name, reference in zip(OTHERS, rest.weights):
            np.testing.assert_allclose(ours[name], reference, rtol=0, atol=1e-6)
    moments = optimizer.moments()
    for name, reference in truth.items():
        np.testing.assert_allclose(moments[f"muon_m.{name}"], reference.m, rtol=1e-5, atol=1e-6)


def test_moments_by_name_go_on_to_the_bit(muon):
    _, _, optimizer, update = muon
    moments = optimizer.moments()
    adam = [f"adam_{kind}.{name}" for kind in "mv" for name in OTHERS]
    assert set(moments) == {f"muon_m.{name}" for name in MATRICES} | set(adam)
    assert {name: value.shape for name, value in moments.items()} == optimizer.moment_shapes()
    assert optimizer.n_bytes == sum(value.nbytes for value in moments.values())
    before = {p.name: p.asnumpy().copy() for p in (*optimizer.weights, *optimizer.adamw.weights)}
    gradients = draw(np.random.default_rng(2))
    first = update(gradients, 0.1, 6)
    name = "muon_m.layers.0.wide"
    assert not np.array_equal(optimizer.moments()[name], moments[name])
    for p in (*optimizer.weights, *optimizer.adamw.weights):
        p.set_data(Tensor(before[p.name]))
    optimizer.set_moments(moments)
    again = update(gradients, 0.1, 6)
    assert all(np.array_equal(first[name], again[name]) for name in SHAPES)


def test_a_checkpoint_has_the_weights_that_adamw_trains_too(muon):
    names = [parameter.name for parameter in muon[2].all_weights()]
    assert sorted(names) == sorted(SHAPES)


def test_no_gradient_decays_only_and_a_rate_of_0_changes_nothing(muon):
    config, _, optimizer, update = muon
    optimizer.set_moments({k: np.zeros_like(v) for k, v in optimizer.moments().items()})
    before = update(draw(np.random.default_rng(3)), 0.0, 0)
    assert all(np.array_equal(before[name], v) for name, v in update(before, 0.0, 1).items())
    optimizer.set_moments({k: np.zeros_like(v) for k, v in optimizer.moments().items()})
    nothing = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    for name, after in update(nothing, 0.1, 0).items():
        factor = 1 - 0.1 * config.weight_decay * (len(SHAPES[name]) > 1)
        np.testing.assert_allclose(after, before[name] * factor, rtol=1e-6)


@pytest.mark.parametrize("shape", [(24, 64), (64, 24), (32, 32)], ids=str)
def test_a_direction_has_singular_values_of_about_1(shape):
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    y = Orthogonal(*shape)(Tensor(x)).asnumpy()
    u, _, v = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    assert y.shape == shape
    along = np.diag(u.T @ y @ v.T)
    assert along.min() > 0.5 and along.max() < 1.3
    np.testing.assert_allclose(y, u * along @ v, atol=1e-4)  # the singular vectors stay
    # What lets the rate carry over from AdamW, whose updates are about 0.2 in root mean square.
    rms = 0.2 * np.sqrt(max(shape)) * np.sqrt((y**2).mean())
    assert 0.15 < rms < 0.25


def test_the_length_of_a_gradient_does_not_matter():
    x = np.random.default_rng(5).standard_normal((6, 9)).astype(np.float32)
    cell = Orthogonal(6, 9)
    small, large = (cell(Tensor(x * factor)).asnumpy() for factor in (1e-3, 1e12))
    np.testing.assert_allclose(small, large, rtol=0, atol=1e-3)


def block_bigram() -> Bigram:
    """The bigram's table as a matrix of a block."""
    network = Bigram()
    network.table.name = "layers.0.table"
    return network


def run(step: TrainStep, batch) -> list[float]:
    return [float(x.asnumpy()) for x in step(*map(Tensor, batch))]


def state(step: TrainStep) -> dict[str, np.ndarray]:
    weights = {p.name: p.asnumpy().copy() for p in step.optimizer.weights}
    return weights | step.optimizer.moments()


def test_the_training_step_with_micro_batches():
    config = TrainConfig(optimizer="muon", max_steps=40, warmup_steps=2, learning_rate=0.05)
    whole, split = TrainStep(block_bigram(), config), TrainStep(block_bigram(), config, 2)
    assert "muon_m.layers.0.table" in state(whole) and "adam_m.bias" in state(whole)
    losses = []
    for i in range(3):
        batch = bigram_batch(i)
        run(split, [x[:2] for x in batch])
        losses.append(run(whole, batch)[0])
        assert run(split, [x[2:] for x in batch])[0] == pytest.approx(losses[-1], rel=1e-5)
        a, b = state(whole), state(split)
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-5)
    broken = bigram_batch(3)
    broken[2][:] = np.inf
    before = state(whole)
    assert run(whole, broken)[3] == 1
    assert all(np.array_equal(before[name], value) for name, value in state(whole).items())
    for _ in range(20):
        run(whole, bigram_batch(0))
    assert run(whole, bigram_batch(0))[0] < losses[0]
