"""Fixtures of the tests that run commands."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def debug_options(repo: Path) -> tuple[str, ...]:
    """The debug recipe for commands that run in any folder: its text is named by a whole path."""
    corpus = repo / "tests" / "data" / "corpus.jsonl"
    sources = f"[{{reader: jsonl, path: {corpus}}}]"
    return "--config", str(repo / "configs" / "debug.yaml"), "--data.sources", sources
