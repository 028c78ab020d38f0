"""Loggers by name."""

import importlib.util

import pytest

from common.errors import UserError
from training.hooks.registry import find_loggers


def test_tensorboard_is_always_there():
    (found,) = find_loggers(["tensorboard"])
    assert found.begin.__name__ == "TensorBoard"
    assert find_loggers([]) == []


def test_an_unknown_name():
    with pytest.raises(UserError, match="'mlflow' is unknown; .* swanlab, tensorboard, wandb"):
        find_loggers(["mlflow"])


@pytest.mark.parametrize("name", ["swanlab", "wandb"])
def test_a_package_that_is_not_installed(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=f"package {name}; .*: python -m pip install {name}$"):
        find_loggers([name])
