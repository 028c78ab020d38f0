"""Fixtures of the serving tests: a small run and what writes with it."""

from tests.evaluation.conftest import run, writer  # noqa: F401
