"""Fixtures of the generation tests: those of the network and of the evaluation."""

from tests.evaluation.conftest import run, writer  # noqa: F401
from tests.model.conftest import accelerator_forms  # noqa: F401
