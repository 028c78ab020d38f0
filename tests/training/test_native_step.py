"""The training step with native kernels against the plain one."""

import gc
import weakref

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore import dtype as mstype

from model.adapters import add_adapters
from model.config import AdapterConfig
from model.llama import Llama
from model.native.symbols import multiplies_bfloat16
from tests.model.cases import batch, lively, tiny_config
from tests.resident import resident_bytes
from training.config import TrainConfig
from training.max_minutes import release
from training.objectives.cross_entropy import NextToken
from training.step import TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")
OPTIONS = {"max_steps": 20, "warmup_steps": 2, "learning_rate": 0.001, "grad_clip": 0.5}


def make_step(
    native: bool,
    micro_batches: int = 1,
    adapter=None,
    optimizer="adamw",
    dtype=mstype.float32,
    **shape,
):
    config = tiny_config(document_mask=True, **shape)
    network = lively(Llama(config, dtype, native=native))
    if adapter:
        add_adapters(network, adapter)
    train = TrainConfig(**OPTIONS, optimizer=optimizer)
    drops = config.dropout > 0 or (adapter is not None and adapter.dropout > 0)
    return TrainStep(NextToken(network), train, micro_batches, drops=drops, native=native)


def run(step: TrainStep, number: int, spoilt: bool = False) -> list[float]:
    """Loss and norm of a step's last micro-batch."""
    for part in range(step.micro_batches):
        arrays = batch(seed=100 * number + part)
        if spoilt:
            arrays[2] = arrays[2] * np.float32(np.nan)
        result = step(*map(Tensor, arrays))
    return [float(x.asnumpy()) for x in result[:2]]


def trained(step: TrainStep) -> list:
    return step.gradients.objective.trainable_params()


def state(step: TrainStep) -> dict[str, np.ndarray]:
    weights = {p.name: p.asnumpy().copy() for p in trained(step)}
    return weights | step.optimizer.moments()


CASES = {
    "tied": {},
    "two micro-batches": {"micro_batches": 2, "tie_embeddings": False},
    "all of Qwen's": {
        "n_kv_heads": 2, "attention_bias": True, "dropout": 0.2, "micro_batches": 2,
        "optimizer": "muon",
    },
    "adapter": {"adapter": AdapterConfig(kind="lora", rank=4, train_norms=True)},
    "adapter that drops": {
        "adapter": AdapterConfig(kind="lora", rank=4, dropout=0.3), "micro_batches": 2,
    },
    "both drop": {"adapter": AdapterConfig(kind="lora", rank=4, dropout=0.3), "dropout": 0.2},
}  # fmt: skip


SELDOM = "both drop"
"""Two cases in one, each of which is among the others."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case == SELDOM)) for case in CASES],
)
def test_steps_are_those_of_the_plain_form(case):
    native, plain = make_step(True, **CASES[case]), make_step(False, **CASES[case])
    for number in range(4):
        assert run(native, number) == pytest.approx(run(plain, number), rel=1e-5)
    ours, truth = state(native), state(plain)
    assert ours.keys() == truth.keys()
    for name, value in truth.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=2e-5, err_msg=name)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="no products in bfloat16")
@pytest.mark.parametrize("case", ["all of Qwen's", "adapter"])
def test_steps_in_bfloat16_are_near(case):
    """Rounding has 8 bits of the mantissa stay: 0.4 %."""
    half = make_step(True, dtype=mstype.bfloat16, **CASES[case])
    plain = make_step(False, **CASES[case])
    for number in range(4):
        loss, norm = run(half, number)
        truth, its_norm = run(plain, number)
        assert loss != truth and loss == pytest.approx(truth, rel=4e-3)
        assert norm == pytest.approx(its_norm, rel=3e-2)


class Loss(nn.Cell):
    def __init__(self, objective):
        super().__init__(auto_prefix=False)
        self.objective = objective

    def construct(self, *columns):
        return self.objective(*columns)[0]


@pytest.fixture(scope="module")
def muon():
    return make_step(True, 2, optimizer="muon")


def test_a_bad_step_changes_nothing_and_the_next_is_as_if_it_had_not_been(muon):
    run(muon, 0)
    before = state(muon)
    loss, norm = run(muon, 1, spoilt=True)
    assert np.isnan(norm) and int(muon.bad_steps) == 1
    assert all(np.array_equal(value, before[name]) for name, value in state(muon).items())
    assert np.isfinite(run(muon, 2)).all() and int(muon.bad_steps) == 0
    assert any(not np.array_equal(value, before[name]) for name, value in state(muon).items())


def test_what_follows_from_a_state_is_the_same_to_the_bit(muon):
    """A checkpoint holds weights, moments and counters; the buffer is empty between steps."""
    before, counters = state(muon), [p.asnumpy().copy() for p in muon.counters()]
    first = [run(muon, number) for number in (5, 6)], state(muon)
    resumed = make_step(True, 2, optimizer="muon")
    for weight in trained(resumed):
        weight.set_data(Tensor(before[weight.name]))
    resumed.optimizer.set_moments(before)
    for counter, value in zip(resumed.counters(), counters):
        counter.set_data(Tensor(value))
    again = [run(resumed, number) for number in (5, 6)], state(resumed)
    assert first[0] == again[0]
    assert all(np.array_equal(value, again[1][name]) for name, value in first[1].items())


def test_an_evaluation_during_training_adds_no_gradient(muon):
    """It uses the network's cells, which add to the buffer, but not the training objective's."""
    memory = muon.gradients.buffer.memory
    objective = NextToken(muon.gradients.objective.network)
    loss = float(Loss(objective)(*map(Tensor, batch())))
    assert loss > 0 and not memory.any()


@pytest.mark.parametrize("native", [True, False], ids=["native", "plain"])
def test_a_released_step_gives_its_memory_back_and_another_can_follow(native):
    def make():
        return make_step(native, 2, vocab_size=160_000)

    run(make_step(native), 0)  # MindSpore keeps what is dropped here
    step = make()
    first = run(step, 0)
    weights = sum(weight.nbytes for weight in trained(step))
    before = resident_bytes()
    release(step)
    kinds = 4  # weights, two moments, gradients
    assert before - resident_bytes() > 0.8 * kinds * weights > 40e6
    assert run(make(), 0) == first


def test_no_cell_is_dropped_while_mindspore_walks_through_its_table_of_them(monkeypatch):
    kept = []

    def walk():
        gc.collect()
        kept.append(dropped() is not None)

    monkeypatch.setattr("training.max_minutes.ms_memory_recycle", walk)
    step, cell = make_step(True), nn.ReLU()
    cell.cycle, dropped = [cell], weakref.ref(cell)
    del cell
    release(step)
    assert kept == [True]
