"""Fixtures of the network's tests."""

import pytest

MODULES = ("attention", "feed_forward", "norm", "rope")


@pytest.fixture
def accelerator_forms(monkeypatch, graph_mode):
    """Networks built in this test take the forms meant for a GPU or an NPU."""
    for module in MODULES:
        monkeypatch.setattr(f"model.{module}.on_cpu", lambda: False)
