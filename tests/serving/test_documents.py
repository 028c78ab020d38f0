"""Documents are looked things up in: passages go into the prompt, and the answer names them."""

import openai
import pytest

from common.errors import UserError
from tests.serving.conftest import serving

QUESTION = [{"role": "user", "content": "小明在哪里？"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "学校.txt").write_text("小明在学校。", encoding="utf-8")
    (folder / "树.txt").write_text("树下有花。", encoding="utf-8")
    (folder / "长.txt").write_text("哪里" * 80 + "。", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def answered(chat_run, folder):
    """A whole answer and a stream, from a server with documents."""
    arguments = ["--documents", str(folder)]
    with serving(chat_run.path, arguments=arguments) as server:
        with openai.OpenAI(base_url=f"{server.address}/v1", api_key="none") as client:
            fields = {"model": "chatty", "messages": QUESTION, "max_tokens": 3, "temperature": 0}
            whole = client.chat.completions.create(**fields)
            return whole, list(client.chat.completions.create(**fields, stream=True))


def test_the_answer_names_what_fits_the_context(answered, server, client):
    whole, pieces = answered
    assert [source["document"] for source in whole.sources] == ["学校.txt"]
    assert whole.sources[0] == {"document": "学校.txt", "number": 1, "text": "小明在学校。"}
    assert pieces[0].sources == whole.sources
    plain = client.chat.completions.create(model="chatty", messages=QUESTION, max_tokens=3)
    assert whole.usage.prompt_tokens > plain.usage.prompt_tokens + 4


def test_documents_need_a_run_that_chats(run, folder):
    with pytest.raises(UserError, match="none of these runs has a chat template"):
        with serving(run.path, arguments=["--documents", str(folder)]):
            pass
