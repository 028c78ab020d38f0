"""What the tests of this folder share."""

import pytest

from tests.interop.cases import make_run, make_tokenizer


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A trained vocabulary of 600 ids."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def run(graph_mode, tokenizer, tmp_path_factory):
    """A run with tied tables and grouped queries; tests only read it."""
    return make_run(tmp_path_factory.mktemp("run"), tokenizer)
