"""The command line of serve.py, and its first sentences when something is wrong."""

import signal
import socket

import pytest

from benchmarks.serve import served
from common.errors import UserError
from serving.config import ServeConfig
from serving.options import KEY_VARIABLE, parse_options


def test_defaults(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    options = parse_options([])
    assert (options.host, options.port, options.api_key) == ("127.0.0.1", 8000, None)
    assert options.config == ServeConfig() and options.runs is None and not options.web


def test_limits_runs_and_recipe_fields():
    options = parse_options(["--run", "a", "b", "--slots", "3", "--eval.weights", "int8"])
    assert [path.name for path in options.runs] == ["a", "b"]
    assert options.config.slots == 3 and options.overrides == ["--eval.weights", "int8"]


def test_other_computers_need_a_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(UserError, match=f"set {KEY_VARIABLE} or --api_key"):
        parse_options(["--host", "0.0.0.0"])
    assert parse_options(["--host", "0.0.0.0", "--api_key", "k"]).api_key == "k"
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert parse_options(["--host", "0.0.0.0"]).api_key == "secret"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "--port is 70000; it must lie in 0..65535"),
        (["--slots", "0"], "--slots is 0; it must be at least 1"),
        (["--slots", "many"], "invalid int value: 'many'"),
        (["--run"], "expected at least one argument"),
    ],
)
def test_wrong_options(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_options(arguments)


def test_wrong_surroundings_are_one_sentence(run, run_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_command("serve.py", "--run", run.path, "--port", port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {port}: ")


def test_the_command_serves_until_ctrl_c(run, capfd):
    with served(run.path, "--slots", "2") as (address, process):
        assert address.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert capfd.readouterr().err == "interrupted\n"
