"""What the tests of this folder share."""

import pytest

from chat.template import ChatTemplate
from tests.interop.cases import make_run, make_tokenizer
from tokenizer.tokenizer import RESERVED_PIECES


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A trained vocabulary of 600 ids."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def run(graph_mode, tokenizer, tmp_path_factory):
    """A run with tied tables and grouped queries; tests only read it."""
    return make_run(tmp_path_factory.mktemp("run"), tokenizer)


@pytest.fixture(scope="session")
def chat_run(graph_mode, tmp_path_factory):
    """A run with reserved pieces and a chat template; tests only read it."""
    folder = tmp_path_factory.mktemp("chat")
    run = make_run(folder, make_tokenizer(folder, reserved=RESERVED_PIECES))
    ChatTemplate.for_tokenizer(run.tokenizer()).save(run.path)
    return run
