"""What ranks make sure of together, with the other ranks' part played by a list."""

import dataclasses
import types

import pytest

from common.errors import UserError
from training import trainer
from training.config import TrainConfig
from training.hooks import save as save_module
from training.hooks.save import Save
from training.parallel import World, values_of_all
from training.signals import StopSignal

CONFIG = TrainConfig()


def job(config: TrainConfig, plan="plan"):
    run = types.SimpleNamespace(recipe=types.SimpleNamespace(train=config))
    return types.SimpleNamespace(run=run, plan=plan, world=World(0, 3))


@pytest.fixture
def others(monkeypatch):
    """`others(job, step)`: the last of three ranks has that job and step, the rest CONFIG and 7."""

    def play(other, step):
        said = []

        def values(value, world):
            return [value, value, said.pop(0)]

        monkeypatch.setattr(
            trainer, "values_of_all", lambda value, world: said.append(value) or [0]
        )
        trainer.check_agreement(other, step)
        monkeypatch.setattr(trainer, "values_of_all", values)
        trainer.check_agreement(job(CONFIG), 7)

    return play


def test_ranks_that_agree(others):
    others(job(CONFIG), 7)
    assert values_of_all(7, World()) == [7]


@pytest.mark.parametrize(
    "other", [job(dataclasses.replace(CONFIG, log_interval=7)), job(CONFIG, "other data")]
)
def test_another_recipe_or_training_file(others, other):
    with pytest.raises(UserError, match="rank 2 starts from another recipe or training file"):
        others(other, 7)


def test_another_checkpoint(others):
    with pytest.raises(UserError, match="rank 2 starts from another step than rank 0; out_dir"):
        others(job(CONFIG), 14)


def test_no_rank_leaves_before_the_first_has_saved(monkeypatch):
    """A launcher kills the rank that is still writing when another ends by a signal."""
    done = []
    monkeypatch.setattr(save_module, "values_of_all", lambda value, world: done.append("met"))
    plan = types.SimpleNamespace(max_steps=100)
    stop = StopSignal(World(0, 2))
    save = Save(plan, 0, lambda step: lambda: done.append(f"wrote {step}"), 10, stop)
    save.save_now(7)
    assert done == ["wrote 7", "met"]
