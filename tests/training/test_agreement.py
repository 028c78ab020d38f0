"""What ranks make sure of together, with the other ranks' part played by a list."""

import dataclasses
import types

import pytest

from common.errors import UserError
from training import checks
from training.config import TrainConfig
from training.hooks import save as save_module
from training.hooks.save import Save
from training.parallel import World, values_of_all
from training.signals import StopSignal

CONFIG = TrainConfig()


def job(config: TrainConfig, step: int, data: str = "data"):
    feed = types.SimpleNamespace(fingerprint=data)
    return types.SimpleNamespace(
        config=config, model="model", feed=feed, start_step=step, world=World(0, 3)
    )


@pytest.fixture
def others(monkeypatch):
    """`others(job)`: the last of three ranks has that run, the rest CONFIG and step 7."""

    def play(other):
        said = []

        def values(value, world):
            return [value, value, said.pop(0)]

        monkeypatch.setattr(checks, "values_of_all", lambda value, world: said.append(value) or [0])
        checks.check_agreement(other)
        monkeypatch.setattr(checks, "values_of_all", values)
        checks.check_agreement(job(CONFIG, 7))

    return play


def test_ranks_that_agree(others):
    others(job(CONFIG, 7))
    assert values_of_all(7, World()) == [7]


@pytest.mark.parametrize(
    "other", [job(dataclasses.replace(CONFIG, log_interval=7), 7), job(CONFIG, 7, "other data")]
)
def test_another_recipe_or_training_file(others, other):
    with pytest.raises(UserError, match="rank 2 starts from another recipe or training file"):
        others(other)


def test_another_checkpoint(others):
    with pytest.raises(UserError, match="rank 2 starts from another step than rank 0; out_dir"):
        others(job(CONFIG, 14))


def test_no_rank_leaves_before_the_first_has_saved(monkeypatch):
    """A launcher kills the rank that is still writing when another ends by a signal."""
    done = []
    monkeypatch.setattr(save_module, "values_of_all", lambda value, world: done.append("met"))
    config = types.SimpleNamespace(save_interval=10)
    prepared = types.SimpleNamespace(max_steps=100, start_step=0, config=config)
    stop = StopSignal(World(0, 2))
    save = Save(prepared, lambda step: lambda: done.append(f"wrote {step}"), stop)
    save.save_now(7)
    assert done == ["wrote 7", "met"]
