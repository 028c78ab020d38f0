"""The steps that fit into train.max_minutes: chosen once, by rank 0, and never again."""

import dataclasses

import pytest

from common.errors import UserError
from recipe import save_recipe
from runs.run import RECIPE, Run
from tests.evaluation.cases import make_run
from tests.training.hooks.cases import Context, prepared_run
from training import max_minutes
from training.max_minutes import (
    StepTimer,
    limit_line,
    with_steps_of_begun_run,
    with_steps_that_fit,
)
from training.parallel import World

pytestmark = pytest.mark.usefixtures("graph_mode")


def limited(monkeypatch, first: float, step: float, minutes: float, *options: str, **known):
    """A run whose steps would be measured to take so many seconds."""
    monkeypatch.setattr(max_minutes, "measure", lambda prepared: (first, step))
    prepared = prepared_run("--train.max_minutes", str(minutes), *options, **known)
    prepared.feed.held_out = range(8)
    return prepared


def test_as_many_steps_as_fit(monkeypatch, caplog):
    # 95 % of 60 s, less 7 s to compile: 50 s. Eight rows are two steps of four rows, and a third
    # of that is forward; every ten steps they cost 2 / 3 / 10 of a step.
    caplog.set_level("INFO")
    prepared = limited(monkeypatch, 7.0, 2.0, 1.0)
    chosen = with_steps_that_fit(prepared)
    assert chosen.max_steps == int(50 / (2 + 2 * 2 / 3 / 10)) == 23
    assert chosen.run.path == prepared.run.path and chosen.config.max_minutes == 1.0
    assert "max_steps is 23, of at most 40, which take about 0:00:46" in caplog.text
    schedule_of = dataclasses.replace(prepared.config, max_steps=23)
    assert chosen.config == schedule_of, "the learning rate follows the steps that are chosen"


def test_the_recipe_bounds_the_steps(monkeypatch):
    assert with_steps_that_fit(limited(monkeypatch, 0.0, 0.001, 1.0)).max_steps == 40


def test_all_ranks_take_the_number_of_rank_0(monkeypatch):
    monkeypatch.setattr(max_minutes, "values_of_all", lambda value, world: [17.0, value])
    prepared = limited(monkeypatch, 7.0, 2.0, 1.0, world=World(1, 2))
    assert with_steps_that_fit(prepared).max_steps == 17


def test_fewer_steps_than_the_warm_up_are_said(monkeypatch, caplog):
    with_steps_that_fit(limited(monkeypatch, 7.0, 2.0, 1.0, "--train.warmup_steps", "30"))
    assert "23 steps are not more than train.warmup_steps 30; raise" in caplog.text


def test_a_time_in_which_no_step_fits(monkeypatch):
    says = "max_minutes is 0.5, but compiling takes 7 s and a step 60.00 s, so that not one fits"
    with pytest.raises(UserError, match=says):
        with_steps_that_fit(limited(monkeypatch, 7.0, 60.0, 0.5))


def test_without_a_limit_nothing_is_measured():
    prepared = prepared_run()
    assert with_steps_that_fit(prepared) is prepared and limit_line(prepared) is None
    assert with_steps_of_begun_run(prepared.run.recipe) is prepared.run.recipe


def with_train(run: Run, **values) -> Run:
    train = dataclasses.replace(run.recipe.train, **values)
    return Run(run.path, dataclasses.replace(run.recipe, train=train))


def test_a_run_that_has_begun_keeps_its_steps(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    save_recipe(with_train(run, max_minutes=9.0, max_steps=14).recipe, run.path / RECIPE)
    for asked in (20, 100):
        recipe = with_train(run, max_minutes=9.0, max_steps=asked).recipe
        assert with_steps_of_begun_run(recipe).train.max_steps == 14
    fewer = with_train(run, max_minutes=9.0, max_steps=11).recipe
    assert with_steps_of_begun_run(fewer).train.max_steps == 11
    further = with_train(run, max_minutes=None, max_steps=100).recipe
    assert with_steps_of_begun_run(further) is further
    prepared = limited(monkeypatch, 1.0, 1.0, 9.0)
    resumed = dataclasses.replace(prepared, run=with_train(run, max_minutes=9.0))
    assert with_steps_that_fit(resumed) is resumed
    assert limit_line(resumed) == "limit: max_steps 20 was chosen when the run began"


def test_a_run_without_a_checkpoint_is_measured_again_if_it_is_another(tmp_path):
    run = with_train(make_run(tmp_path), max_minutes=9.0)
    for checkpoint in run.checkpoints.all():
        checkpoint.path.rename(tmp_path / checkpoint.path.name)
    save_recipe(with_train(run, max_steps=14).recipe, run.path / RECIPE)
    assert with_steps_of_begun_run(run.recipe).train.max_steps == 14
    for other in ({"max_minutes": 20.0}, {"micro_batch": 2}):
        assert with_steps_of_begun_run(with_train(run, **other).recipe).train.max_steps == 20


def test_a_measurement_lasts_long_enough_and_no_longer(monkeypatch):
    clock = iter([0.0, 30.0, 32.0, 34.0, 36.0, 38.0])
    monkeypatch.setattr(max_minutes.time, "perf_counter", lambda: next(clock))
    timer, context = StepTimer(prepared_run()), Context()
    while not context.stopped:
        timer.on_step(1, (1.0,), context)
    assert timer.marks == [0.0, 30.0, 32.0, 34.0, 36.0]
