"""Fixtures of the serving tests: a small run, what writes with it, and a server of it."""

import contextlib
import shutil
import threading

import openai
import pytest

from chat.template import ChatTemplate
from runs.run import Run
from tests.evaluation.conftest import run, writer  # noqa: F401


@contextlib.contextmanager
def serving(*paths, arguments=()):
    """A server of runs on a free port of this computer, in this process."""
    from serving.options import parse_options
    from serving.server import Server

    server = Server(paths, parse_options(["--port", "0", *arguments]))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
    assert not thread.is_alive() and not server.engine.thread.is_alive()


@pytest.fixture(scope="package")
def chat_run(run, tmp_path_factory):  # noqa: F811
    """A copy of the run with a chat template: it chats, though it was not trained to."""
    folder = tmp_path_factory.mktemp("chat") / "chatty"
    shutil.copytree(run.path, folder)
    ChatTemplate.for_tokenizer(run.tokenizer()).save(folder)
    return Run.open(folder)


@pytest.fixture(scope="package")
def server(run, chat_run):  # noqa: F811
    with serving(run.path, chat_run.path, arguments=["--web"]) as server:
        yield server


@pytest.fixture(scope="package")
def client(server):
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as client:
        yield client
