"""Dropout in a training step: the same elements however the rows of a step are split."""

import numpy as np
import pytest
from mindspore import Tensor

from model.adapters import B, add_adapters
from model.config import AdapterConfig
from model.dropout import row_keys
from model.llama import Llama
from tests.model.cases import batch, lively, tiny_config
from training.config import TrainConfig
from training.objectives.cross_entropy import NextToken
from training.parallel import World
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")

CONFIG = TrainConfig(max_steps=10, warmup_steps=0, learning_rate=1e-2)


def step_cell(adapts: bool = False, **options) -> TrainStep:
    """A step of a network that drops, or whose adapters do."""
    network = lively(Llama(tiny_config(dropout=0.0 if adapts else 0.2)))
    if adapts:
        add_adapters(network, AdapterConfig(kind="lora", rank=4, dropout=0.4))
        for name, parameter in network.parameters_and_names():
            if name.endswith(B):
                values = np.random.default_rng(len(name)).standard_normal(parameter.shape)
                parameter.set_data(Tensor(values.astype(np.float32)))
    return TrainStep(NextToken(network), CONFIG, drops=True, **options)


def run(step: TrainStep, fields) -> float:
    return float(step(*map(Tensor, fields))[0])


@pytest.mark.parametrize("adapts", [False, True])
def test_micro_batches_drop_what_one_batch_drops(adapts):
    whole, split = step_cell(adapts), step_cell(adapts, micro_batches=2)
    fields, losses = batch(rows=4), []
    for _ in range(2):
        losses.append(run(whole, fields))
        run(split, [x[:2] for x in fields])
        assert run(split, [x[2:] for x in fields]) == pytest.approx(losses[-1], rel=1e-5)
    assert abs(losses[0] - losses[1]) > 1e-3
    for ours, reference in zip(split.optimizer.weights, whole.optimizer.weights):
        np.testing.assert_allclose(ours.asnumpy(), reference.asnumpy(), rtol=0, atol=2e-5)


def test_ranks_share_the_places_of_a_step():
    """As RowStream deals rows: rank r has places r, r + world, ... of the global batch."""
    whole = row_keys(CONFIG.seed, *map(Tensor, (np.int32(0), np.arange(6, dtype=np.int32))))
    whole = whole.asnumpy()
    assert len(set(whole)) == 6
    for rank in (0, 1):
        assert np.array_equal(
            step_cell(world=World(rank, 2)).dropout_keys(3).asnumpy(), whole[rank::2]
        )
