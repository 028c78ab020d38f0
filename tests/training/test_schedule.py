"""The learning rate: its end points, and that it depends on the step alone."""

import numpy as np
import pytest

from training.config import TrainConfig
from training.schedule import SCHEDULES, describe_schedule, learning_rates

PEAK = 3e-4


def rates(max_steps: int, warmup_steps: int, min_lr_ratio: float = 0.1, **options) -> np.ndarray:
    return learning_rates(
        TrainConfig(
            max_steps=max_steps,
            warmup_steps=warmup_steps,
            min_lr_ratio=min_lr_ratio,
            learning_rate=PEAK,
            **options,
        )
    )


def test_end_points():
    lr = rates(100, 10)
    assert lr.shape == (100,) and lr.dtype == np.float32
    assert lr[0] == pytest.approx(PEAK / 10)  # the first step already learns
    assert lr[9] == pytest.approx(PEAK) and lr.argmax() == 9
    assert lr[-1] == pytest.approx(0.1 * PEAK)


def test_the_cosine():
    lr = rates(110, 10).astype(np.float64)
    np.testing.assert_allclose(np.diff(lr[:10]), PEAK / 10, rtol=1e-4)
    assert (np.diff(lr[9:]) < 0).all()
    assert lr[59] == pytest.approx(0.55 * PEAK)  # half of the cosine


def test_a_straight_line():
    lr = rates(110, 10, schedule="linear").astype(np.float64)
    assert np.array_equal(lr[:10], rates(110, 10)[:10])  # every schedule warms up alike
    np.testing.assert_allclose(np.diff(lr[9:]), -0.9 * PEAK / 100, rtol=1e-3)


def test_warm_up_stable_decay():
    lr = rates(110, 10, schedule="wsd", decay_ratio=0.2).astype(np.float64)
    np.testing.assert_allclose(lr[9:90], PEAK, rtol=1e-6)  # also the last step before the decay
    np.testing.assert_allclose(np.diff(lr[89:]), -0.9 * PEAK / 20, rtol=1e-3)
    whole = rates(110, 10, schedule="wsd", decay_ratio=1.0)
    np.testing.assert_allclose(whole, rates(110, 10, schedule="linear"), rtol=1e-6)


@pytest.mark.parametrize("options", [{"decay_ratio": 0.0}, {"decay_ratio": 1.1}], ids=str)
def test_a_share_out_of_range(options):
    with pytest.raises(ValueError, match=r"train.decay_ratio is .*; it must lie in \(0, 1\]"):
        TrainConfig(**options)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("max_steps, warmup_steps", [(1, 0), (50, 0), (50, 1), (11, 10)])
def test_the_last_rate(max_steps, warmup_steps, ratio, schedule):
    lr = rates(max_steps, warmup_steps, ratio, schedule=schedule)
    assert lr[-1] == pytest.approx(ratio * PEAK, rel=1e-6, abs=1e-12)
    assert lr.max() <= np.float32(PEAK)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("max_steps", [1, 5, 10])
def test_a_run_no_longer_than_its_warmup(max_steps, schedule):
    lr = rates(max_steps, 10, schedule=schedule)
    np.testing.assert_allclose(lr, PEAK * np.arange(1, max_steps + 1) / 10, rtol=1e-6)
    assert lr.max() <= np.float32(PEAK)


def test_nothing_but_the_recipe_decides():
    assert np.array_equal(rates(100, 10), rates(100, 10))
    assert np.array_equal(rates(100, 10)[:10], rates(300, 10)[:10])
    # Halfway between warm-up and end is halfway, however long the run: no fixed horizon.
    assert rates(110, 10)[59] == pytest.approx(rates(1010, 10)[509])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_in_words(schedule):
    said = describe_schedule(TrainConfig(learning_rate=2e-3, warmup_steps=5, schedule=schedule))
    assert said.startswith("learning rate up to 0.002 in 5 steps, ")
    assert said.endswith(" down to 0.0002")
    assert ("over the last 20%" in said) == (schedule == "wsd")
