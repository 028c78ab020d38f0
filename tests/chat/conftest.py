import pytest

from tests.chat.cases import make_dialogues, make_vocabulary
from tokenizer.tokenizer import RESERVED_PIECES, load_tokenizer


@pytest.fixture(scope="session")
def dialogues():
    return make_dialogues()


@pytest.fixture(scope="session")
def vocabularies(tmp_path_factory):
    """A small vocabulary without and one with the reserved pieces."""
    folder = tmp_path_factory.mktemp("chat")
    pieces = {"plain": (), "roles": RESERVED_PIECES}
    return {name: make_vocabulary(folder / f"{name}.model", some) for name, some in pieces.items()}


@pytest.fixture(scope="session")
def chatglm3(chatglm_model):
    return load_tokenizer("chatglm3", chatglm_model)
