"""The initial weights."""

import numpy as np
import pytest

from model.llama import Llama
from tests.model.cases import batch, tensors, tiny_config, values
from training.objectives.cross_entropy import NextToken

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture(scope="module")
def weights():
    """Of a network wide enough for a standard deviation to 3 %."""
    config = tiny_config(dim=128, hidden_dim=128, attention_bias=True, tie_embeddings=False)
    return values(Llama(config, seed=3))


def test_residual_projections_are_scaled(weights):
    """llama2.c issue 579: by 1 / sqrt(2 N), and w2, not w3."""
    scaled = [name for name in weights if name.endswith(("wo.weight", "w2.weight"))]
    assert len(scaled) == 4
    for name, value in weights.items():
        if value.ndim == 2:
            std = 0.02 / np.sqrt(2 * 2) if name in scaled else 0.02
            assert value.std() == pytest.approx(std, rel=0.03), name
            assert abs(value.mean()) < 0.05 * std, name


def test_norms_start_at_one_and_biases_at_zero(weights):
    for name, value in weights.items():
        if value.ndim == 1:
            assert (value == (0 if name.endswith("bias") else 1)).all(), name


def test_the_seed_decides():
    first, same, other = (values(Llama(tiny_config(), seed=seed)) for seed in (1, 1, 2))
    for name, value in first.items():
        assert np.array_equal(value, same[name])
        assert value.ndim == 1 or not np.array_equal(value, other[name])
    matrices = [value for value in first.values() if value.ndim == 2]
    assert len({value.flat[0] for value in matrices}) == len(matrices)


def test_the_first_loss_is_that_of_guessing():
    tokens, targets, weight, segments = batch(rows=32)
    inputs = tensors([tokens, targets, np.ones_like(weight), segments])
    loss = NextToken(Llama(tiny_config()))(*inputs)[0]
    assert float(loss) / tokens.size == pytest.approx(np.log(64), abs=0.05)
