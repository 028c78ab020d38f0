"""Requests that nobody should send: each gets its status, and the server lives on."""

import contextlib
import json
import os
import socket
import time

import psutil
import pytest

from tests.serving.conftest import serving
from tests.serving.raw import ask, connect, read_answer, request_bytes

TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
GOOD = {"model": "debug", "prompt": "小明", "max_tokens": 2}
HELLO = [{"role": "user", "content": "小明"}]


def field(**changes) -> bytes:
    return json.dumps(GOOD | changes).encode()


def chat(**changes) -> bytes:
    return json.dumps({"model": "chatty", "messages": HELLO, "max_tokens": 2} | changes).encode()


# Path, body, status, and what the message says.
BODIES = {
    "nothing": (TEXT, b"", 400, ""),
    "no JSON": (TEXT, b"{", 400, "not valid JSON"),
    "cut JSON": (TEXT, field()[:-4], 400, "not valid JSON"),
    "not UTF-8": (TEXT, b'{"model": "\xff\xfe"}', 400, ""),
    "a list": (TEXT, b"[1, 2]", 400, ""),
    "a number": (TEXT, b"7", 400, ""),
    "null": (TEXT, b"null", 400, ""),
    "deep": (TEXT, b"[" * 100_000, 400, ""),
    "NaN": (TEXT, field(temperature=float("nan")), 400, "temperature"),
    "infinite": (TEXT, field(temperature=float("inf")), 400, "temperature"),
    "no prompt": (TEXT, b'{"model": "debug"}', 400, "prompt: "),
    "no model": (TEXT, b'{"prompt": "x"}', 400, "model: "),
    "unknown model": (TEXT, field(model="../../etc/passwd"), 404, "no model"),
    "model of a wrong type": (TEXT, field(model=["debug"]), 400, "model: "),
    "prompt of a wrong type": (TEXT, field(prompt={"a": 1}), 400, "prompt: "),
    "empty list": (TEXT, field(prompt=[]), 400, "prompt: "),
    "empty ids": (TEXT, field(prompt=[[]]), 400, "prompt: "),
    "mixed": (TEXT, field(prompt=["a", 1]), 400, "prompt: "),
    "negative id": (TEXT, field(prompt=[-1]), 400, "prompt: "),
    "id beyond the vocabulary": (TEXT, field(prompt=[600]), 400, "the vocabulary has ids"),
    "id beyond all numbers": (TEXT, field(prompt=[1 << 70]), 400, ""),
    "long prompt": (TEXT, field(prompt="学" * 5000), 400, "the prompt has"),
    "many prompts": (TEXT, field(prompt=["x"] * 17), 400, "at most 16"),
    "half a surrogate": (TEXT, b'{"model": "debug", "prompt": "\\ud800"}', 400, "surrogate"),
    "negative max_tokens": (TEXT, field(max_tokens=-1), 400, "max_tokens: "),
    "fractional max_tokens": (TEXT, field(max_tokens=1.5), 400, "max_tokens: "),
    "text as max_tokens": (TEXT, field(max_tokens="5"), 400, "max_tokens: "),
    "huge max_tokens": (TEXT, field(max_tokens=10**30), 400, "max_tokens: "),
    "n 0": (TEXT, field(n=0), 400, "n: "),
    "huge n": (TEXT, field(n=10**6), 400, "n: at most"),
    "negative temperature": (TEXT, field(temperature=-1), 400, "temperature: "),
    "top_p 0": (TEXT, field(top_p=0), 400, "top_p: "),
    "empty stop": (TEXT, field(stop=""), 400, "stop: "),
    "many stops": (TEXT, field(stop=["a"] * 17), 400, "stop: "),
    "many logprobs": (TEXT, field(logprobs=10**6), 400, "logprobs: "),
    "huge seed": (TEXT, field(seed=1 << 80), 400, "seed: "),
    "stream as text": (TEXT, field(stream="yes"), 400, "stream: "),
    "suffix": (TEXT, field(suffix="end"), 400, "suffix is not supported"),
    "no messages": (CHAT, chat(messages=[]), 400, "messages: "),
    "message without content": (CHAT, chat(messages=[{"role": "user"}]), 400, "messages: "),
    "blank content": (CHAT, chat(messages=[{"role": "user", "content": " "}]), 400, "empty"),
    "picture": (CHAT, chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), 400,
                "messages: "),
    "base run": (CHAT, chat(model="debug"), 400, "no chat template"),
    "tokens of a wrong type": ("/detokenize", b'{"tokens": "x"}', 400, "tokens: "),
    "huge tokens": ("/detokenize", b'{"tokens": [99999999999]}', 200, ""),
}  # fmt: skip

# Path, what differs from a good request, status.
HEADERS = {
    "foreign Host": ({"host": "evil.example"}, 403),
    "no Host": ({"host": None}, 400),
    "Host with a name in it": ({"host": "127.0.0.1.evil.example"}, 403),
    "strange Host": ({"host": "[::1"}, 403),
    "foreign Origin": ({"origin": "https://evil.example"}, 403),
    "null Origin": ({"origin": "null"}, 403),
    "lying length": ({"content_length": "-5"}, 400),
    "huge length": ({"content_length": str(1 << 40)}, 413),
    "unknown method": ({"method": "BREW"}, 405),
    "wrong method": ({"method": "DELETE"}, 405),
}


@pytest.fixture(autouse=True)
def lives_on(server):
    yield
    assert ask(server, "/health") == (200, {"status": "ok"})
    status, answer = ask(server, TEXT, GOOD | {"temperature": 0})
    assert status == 200 and answer["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(("path", "body", "status", "message"), BODIES.values(), ids=BODIES)
def test_bodies(server, path, body, status, message):
    found, answer = ask(server, path, body)
    assert found == status
    if status != 200:
        assert message in answer["error"]["message"] and answer["error"]["type"]
        assert str(os.getcwd()) not in str(answer)


@pytest.mark.parametrize(("headers", "status"), HEADERS.values(), ids=HEADERS)
def test_headers(server, headers, status):
    assert ask(server, TEXT, GOOD, **headers)[0] == status


PATHS = ("/nothing", "/v1/models/x", "/../../etc/passwd", "/%00", "/docs", "/openapi.json")
# Doors of other servers of pages: a redirect to anywhere, uploads, a token in an address.
PATHS += ("/file=http://evil.example/", "/upload", "/monitoring", "/False", "/config", "/info")


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_do_not_exist(server, path):
    status, answer = ask(server, path)
    assert status == 404 and answer["error"]["type"] == "not_found_error"


def test_a_long_body(server):
    status, answer = ask(server, TEXT, field(prompt="x" * (1 << 20)))
    assert status == 413 and "longer than" in answer["error"]["message"]


def test_a_long_body_in_chunks_is_not_read_to_its_end(server):
    with connect(server) as connection:
        head = request_bytes(server, TEXT, None, "POST", transfer_encoding="chunked")
        connection.sendall(head)
        sent = 0
        try:
            while sent < 1 << 25:
                connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                sent += 65536
        except OSError:
            pass
        assert sent < 1 << 25 or read_answer(connection)[0] == 413


def test_no_http_at_all(server):
    with connect(server) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50)
        assert read_answer(connection)[0] == 400


def test_endless_headers(server):
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        try:
            for _ in range(2000):
                connection.sendall(b"x: " + b"y" * 1000 + b"\r\n")
            assert read_answer(connection)[0] == 400
        except OSError:
            pass  # it has hung up


def test_many_hostile_requests_leave_the_memory_flat(server):
    def rounds(n: int) -> None:
        for _ in range(n):
            for path, body, status, _ in BODIES.values():
                assert ask(server, path, body)[0] == status

    process = psutil.Process()
    rounds(2)
    before = process.memory_info().rss
    rounds(10)
    assert process.memory_info().rss - before < 30 << 20


@pytest.fixture(scope="module")
def impatient(run):
    with serving(run.path, arguments=["--read_timeout", "1"]) as server:
        yield server


def test_who_dawdles_is_hung_up_on(impatient):
    """Clients that send nothing more: each is waited for by itself, so all of them at once."""
    sent = {
        "nothing": b"",
        "half a path": b"POST /v1/compl",
        "half a header": b"GET /health HTTP/1.1\r\nhost: 127",
        "half a body": request_bytes(impatient, TEXT, field())[:-3],
        "half of a second request": request_bytes(impatient, "/health"),
    }
    with contextlib.ExitStack() as stack:
        connections = {name: stack.enter_context(connect(impatient)) for name in sent}
        begin = time.monotonic()
        for name, connection in connections.items():
            connection.sendall(sent[name])
        second = connections["half of a second request"]
        assert read_answer(second)[0] == 200
        second.sendall(b"GET /hea")
        statuses = {name: read_answer(connection)[0] for name, connection in connections.items()}
        assert statuses == dict.fromkeys(sent, 408)
        assert time.monotonic() - begin > 0.5


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("half_closed", [True, False])
def test_a_client_that_goes_away_frees_its_slots(server, monkeypatch, stream, half_closed):
    """Sixty steps of 0.2 s would take twelve seconds."""
    batch = server.models["debug"].batch
    step = batch.step
    monkeypatch.setattr(batch, "step", lambda: time.sleep(0.2) or step())
    body = field(max_tokens=60, stream=stream, n=4, temperature=0)
    with connect(server) as connection:
        connection.sendall(request_bytes(server, TEXT, body))
        wait_until(lambda: len(batch.texts) == 4)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
            if stream:
                connection.recv(1 << 16)
    wait_until(lambda: not batch.busy and server.engine.open["debug"] == 0)


def wait_until(true, seconds: float = 6) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
