"""Optimizers by name."""

import typing

import pytest

from training.config import TrainConfig
from training.optimizers.registry import OPTIMIZERS, describe_optimizer


def test_a_recipe_can_name_each():
    names = typing.get_args(typing.get_type_hints(TrainConfig)["optimizer"])
    assert set(names) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_words(name):
    said = describe_optimizer(TrainConfig(optimizer=name, beta2=0.99))
    assert "AdamW (0.9, 0.99)" in said and ("Muon (0.95)" in said) == (name == "muon")
