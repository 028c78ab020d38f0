"""Runs that train an adapter: what is saved, what stays frozen, and going on."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file

from common.errors import UserError
from interop.initial import read_initial
from model.adapters import adapter_shapes, is_adapter
from model.config import AdapterConfig
from recipe import Recipe
from runs.base import BASE
from runs.checkpoint import ADAPTER, OPTIMIZER, WEIGHTS
from runs.run import Run
from tests.evaluation.cases import make_run
from tests.model.cases import values
from training.heldout import HeldOut
from training.objectives.cross_entropy import NextToken
from training.trainer import prepare, train

pytestmark = pytest.mark.usefixtures("graph_mode")

CONFIG = AdapterConfig(kind="lora", rank=2, targets=["wq", "w2"], train_norms=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Run:
    return make_run(tmp_path_factory.mktemp("base"))


def recipe_on(base: Run, name: str, adapter: AdapterConfig, **train_changes) -> Recipe:
    changes = {"init_from": str(base.path), "max_steps": 4, "eval_interval": 2, "save_interval": 2}
    section = dataclasses.replace(base.recipe.train, **{**changes, **train_changes})
    return dataclasses.replace(base.recipe, name=name, adapter=adapter, train=section)


@pytest.fixture(scope="module")
def adapted(base) -> Run:
    recipe = recipe_on(base, "adapted", CONFIG)
    assert train(recipe, read_initial) == 0
    return Run.open(recipe.run_dir)


def test_checkpoints_hold_the_adapter_and_its_moments_alone(base, adapted):
    shapes = adapter_shapes(base.recipe.model, CONFIG)
    for checkpoint in adapted.checkpoints.all():
        assert not (checkpoint.path / WEIGHTS).exists() and checkpoint.has_adapter
        held = load_file(checkpoint.path / ADAPTER)
        assert {name: value.shape for name, value in held.items()} == shapes
        moments = load_file(checkpoint.path / OPTIMIZER)
        count = sum(np.prod(shape) for shape in shapes.values())
        assert sum(value.size for value in moments.values() if value.ndim) == 2 * count
    assert not (adapted.path / BASE).exists()


def test_only_what_is_adapted_changes(base, adapted):
    before, after = values(base.load_model()), values(adapted.load_model())
    for name in before:
        changed = (before[name] != after[name]).any()
        assert changed == name.endswith(("wq.weight", "w2.weight", "norm.weight")), name


def test_a_run_that_goes_on_equals_one_that_did_not_stop(base, adapted):
    dropping = dataclasses.replace(CONFIG, dropout=0.25)
    recipe = recipe_on(base, "halves", dropping, schedule="wsd", max_steps=4)
    straight = recipe_on(base, "straight", dropping, schedule="wsd", max_steps=4)
    train(straight, read_initial)
    # Stopped after step 2, as a kill would leave it.
    run = Run.open(straight.run_dir)
    first = run.checkpoints.all()[0]
    other = Run(recipe.run_dir, recipe)
    other.create(run.tokenizer())
    halves = load_file(first.path / ADAPTER)
    state = {k: v for k, v in first.state().items() if k not in ("step", "format_version")}
    del state["sha256"]
    other.checkpoints.save(2, halves, load_file(first.path / OPTIMIZER), state)
    train(recipe)  # the base is found without reading the initial weights again
    for name in (ADAPTER, OPTIMIZER):
        right = load_file(run.newest_checkpoint().path / name)
        found = load_file(other.newest_checkpoint().path / name)
        assert all((found[key] == right[key]).all() for key in right)


def test_the_held_out_loss_is_the_merged_models(base, adapted):
    """Trained by groups of eight and with dropout, measured with full attention and without."""
    adapter = dataclasses.replace(CONFIG, attention_group=8, dropout=0.25)
    recipe = recipe_on(base, "groups", adapter, max_steps=2)
    train(recipe, read_initial)
    run = Run.open(recipe.run_dir)
    said = [each["val_loss"] for each in run.metrics() if "val_loss" in each][-1]
    rows = prepare(recipe).feed.held_out
    found = HeldOut(NextToken(run.load_model()), rows, batch=2).evaluate(recipe.train.eval_rows)
    assert said == pytest.approx(found.loss, abs=1e-5)
    losses = [
        [each["loss"] for each in trained.metrics() if each.get("loss")][0]
        for trained in (run, adapted)
    ]
    assert losses[0] != losses[1], "training saw the groups"


def test_a_base_of_foreign_weights_is_kept(base, adapted, tmp_path):
    """An adapter of an adapted run begins from merged weights, which no file holds."""
    recipe = recipe_on(adapted, "second", dataclasses.replace(CONFIG, rank=1), max_steps=2)
    train(recipe, read_initial)
    run = Run.open(recipe.run_dir)
    kept, merged = load_file(run.path / BASE), values(adapted.load_model())
    assert kept.keys() == merged.keys() and not any(map(is_adapter, kept))
    assert all((kept[name] == merged[name]).all() for name in merged)
    assert run.newest_checkpoint().state()["base"]["file"] == BASE
    run.load_model()


def test_what_cannot_be_changed_or_adapted(base, adapted):
    changed = dataclasses.replace(CONFIG, rank=3)
    with pytest.raises(UserError, match="trained with another adapter.rank; put back"):
        train(dataclasses.replace(adapted.recipe, adapter=changed), read_initial)
    with pytest.raises(ValueError, match="adapter.kind is lora, but train.init_from is null"):
        recipe_on(base, "x", CONFIG, init_from=None)
