"""One training step: clipping, accumulation, steps that are skipped, and the loss scale."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from tests.training.bigram import ROWS, Bigram, bigram_batch, numpy_bigram
from tests.training.numpy_adamw import NumpyAdamW
from training.config import TrainConfig
from training.schedule import learning_rates
from training.step import GROWTH_INTERVAL, TrainStep

pytestmark = pytest.mark.usefixtures("graph_mode")

OPTIONS = {"max_steps": 40, "warmup_steps": 2, "learning_rate": 0.05}


def run(step: TrainStep, batch) -> list[float]:
    """Loss, norm, lr and bad_steps of one call."""
    return [float(x.asnumpy()) for x in step(*map(Tensor, batch))]


def weights(step: TrainStep) -> list[np.ndarray]:
    return [p.asnumpy().copy() for p in step.optimizer.weights]


def state(step: TrainStep) -> list[np.ndarray]:
    """Weights and moments."""
    moments = (*step.optimizer.m, *step.optimizer.v)
    return weights(step) + [p.asnumpy().copy() for p in moments]


@pytest.mark.parametrize("grad_clip", [0.1, 100.0], ids=["clipped", "free"])
def test_three_steps_are_numpys(grad_clip):
    config = TrainConfig(**OPTIONS, grad_clip=grad_clip)
    step = TrainStep(Bigram(), config)
    reference = NumpyAdamW(weights(step), config)
    rates = learning_rates(config)
    for i in range(3):
        batch = bigram_batch(i)
        true_loss, gradients = numpy_bigram(*reference.weights, *batch)
        true_norm = np.sqrt(sum((g**2).sum() for g in gradients))
        assert 0.1 < true_norm < 100
        factor = min(1.0, grad_clip / true_norm)
        reference.update([g * factor for g in gradients], rates[i])
        loss, norm, lr, bad_steps = run(step, batch)
        assert (loss, norm) == pytest.approx((true_loss, true_norm), rel=1e-5)
        assert (lr, bad_steps) == (rates[i], 0)
    for ours, truth in zip(state(step), reference.weights + reference.m + reference.v):
        np.testing.assert_allclose(ours, truth, rtol=2e-5, atol=1e-6)


@pytest.fixture(scope="module")
def split():
    """Steps of two micro-batches; a test leaves it between two steps."""
    return TrainStep(Bigram(), TrainConfig(**OPTIONS), micro_batches=2)


def halves(batch):
    return [[x[:2] for x in batch], [x[2:] for x in batch]]


def test_two_micro_batches_are_one_batch(split):
    assert ROWS == 4
    whole = TrainStep(Bigram(), TrainConfig(**OPTIONS))
    for i in range(2):
        batch = bigram_batch(i)
        first, second = halves(batch)
        assert first[2].sum() != second[2].sum()  # a mean of two means would differ
        before = state(split)
        run(split, first)
        assert all(map(np.array_equal, before, state(split)))
        assert run(split, second) == pytest.approx(run(whole, batch), rel=1e-5)
        assert int(split.step) == int(whole.step) == i + 1
        for ours, truth in zip(state(split), state(whole)):
            np.testing.assert_allclose(ours, truth, rtol=0, atol=1e-6)


def test_a_bad_micro_batch_spoils_its_step_only(split):
    first, second = halves(bigram_batch(5))
    broken = [*first[:2], np.full_like(first[2], np.inf), first[3]]
    before, done = state(split), int(split.step)
    run(split, broken)
    assert run(split, second)[3] == 1
    assert all(map(np.array_equal, before, state(split)))
    run(split, first)
    loss, norm, _, bad_steps = run(split, second)
    assert np.isfinite([loss, norm]).all() and bad_steps == 0
    assert int(split.step) == done + 2
    assert not any(map(np.array_equal, before, state(split)))


def test_bad_steps_change_nothing_and_are_counted():
    step = TrainStep(Bigram(), TrainConfig(**OPTIONS))
    batch = bigram_batch()
    run(step, batch)
    before = state(step)
    for count, value in enumerate((np.inf, np.nan, 0.0), 1):  # 0: no target, so 0 / 0
        broken = [*batch[:2], np.full_like(batch[2], value), batch[3]]
        _, norm, _, bad_steps = run(step, broken)
        assert not np.isfinite(norm) and bad_steps == count
        assert all(map(np.array_equal, before, state(step)))
    assert int(step.step) == 4 and float(step.loss_scale) == 1
    assert run(step, batch)[3] == 0
    assert not any(map(np.array_equal, before, state(step)))


def test_the_loss_scale_of_float16():
    """2^17 overflows half precision in the gradient of a score, 2^16 does not."""
    config = TrainConfig(**OPTIONS, loss_scale=2.0**16, grad_clip=100.0)
    step = TrainStep(Bigram(half=True), config, dynamic_scale=True)
    step.good_steps.set_data(Tensor(GROWTH_INTERVAL - 1, step.good_steps.dtype))
    batch = bigram_batch()
    batch[2][:] = 1.0
    true_loss, gradients = numpy_bigram(*weights(step), *batch)
    true_norm = np.sqrt(sum((g**2).sum() for g in gradients))
    loss, norm, _, bad_steps = run(step, batch)
    assert loss == pytest.approx(true_loss, rel=1e-3) and bad_steps == 0
    assert norm == pytest.approx(true_norm, rel=1e-2)  # the scale is taken out again
    assert (float(step.loss_scale), int(step.good_steps)) == (2.0**17, 0)

    before = state(step)
    loss, norm, _, bad_steps = run(step, batch)
    assert np.isfinite(loss) and not np.isfinite(norm) and bad_steps == 1
    assert (float(step.loss_scale), int(step.good_steps)) == (2.0**16, 0)
    assert all(map(np.array_equal, before, state(step)))

    assert run(step, batch)[3] == 0
    assert (float(step.loss_scale), int(step.good_steps)) == (2.0**16, 1)
    assert not any(map(np.array_equal, before, state(step)))


def test_a_repeated_batch_is_learnt():
    config = TrainConfig(**OPTIONS, min_lr_ratio=0.0)
    step = TrainStep(Bigram(), config)
    losses = [run(step, bigram_batch())[0] for _ in range(config.max_steps)]
    assert losses[-1] < 0.7 * losses[0]
    assert (np.diff(losses) < 0).mean() > 0.9
    assert all(np.isfinite(x).all() for x in state(step))  # also after the last rate, 0


def test_cells_are_told_once_under_what_name_they_are_compiled(monkeypatch):
    step, told = TrainStep(Bigram(), TrainConfig(**OPTIONS)), []
    whole = nn.Cell.compile_phase
    monkeypatch.setattr(
        nn.Cell,
        "compile_phase",
        whole.setter(lambda cell, name: told.append(whole.fset(cell, name))),
    )
    run(step, bigram_batch())
    of_the_first_call = len(told)
    run(step, bigram_batch())
    assert len(told) == of_the_first_call > 1
    assert {cell.compile_phase for _, cell in step.cells_and_names()} == {step.current_phase}
