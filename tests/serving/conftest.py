"""Fixtures of the serving tests: a small run, what writes with it, and a server of it."""

import contextlib
import threading

import pytest

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
def server(run):  # noqa: F811
    with serving(run.path) as server:
        yield server
