"""What is not a completion: models, the tokenizer, metrics; and what happens when all is full."""

import json
import re
import socket
from urllib.parse import urlsplit

from tests.serving.conftest import serving
from tests.serving.raw import ask, connect, read_answer, request_bytes

TEXT = "/v1/completions"
GREEDY = {"model": "debug", "prompt": "小明", "max_tokens": 4, "temperature": 0}


def test_models_have_two_addresses(server):
    status, answer = ask(server, "/models")
    assert status == 200 and answer == ask(server, "/v1/models")[1]
    assert [model["id"] for model in answer["data"]] == ["debug", "chatty"]


def test_ids_of_a_text_and_back(server, writer):
    ids = writer.tokenizer.encode("小明在学校")
    status, answer = ask(server, "/tokenize", {"prompt": "小明在学校"})
    assert (status, answer["tokens"], answer["count"]) == (200, ids, len(ids))
    assert ask(server, "/detokenize", {"tokens": ids}) == (200, {"prompt": "小明在学校"})
    status, info = ask(server, "/tokenizer_info")
    assert status == 200 and info["vocab_size"] == writer.tokenizer.vocab_size
    eos = ask(server, "/tokenize", {"prompt": info["eos_token"]})[1]["tokens"]
    assert eos == [writer.tokenizer.eos_id]


def count(server, name: str) -> float:
    """A value of /metrics, by its name and labels."""
    with connect(server) as connection:
        connection.sendall(request_bytes(server, "/metrics"))
        status, text = read_answer(connection)
    assert status == 200
    found = re.search(rf"^{re.escape(name)} (\S+)$", text.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_requests_and_tokens(server):
    tokens = 'baby_llama_tokens_total{kind="new",model="debug"}'
    requests = f'baby_llama_requests_total{{path="{TEXT}",status="200"}}'
    before = count(server, tokens), count(server, requests)
    assert ask(server, TEXT, GREEDY)[0] == 200
    assert (count(server, tokens), count(server, requests)) == (before[0] + 4, before[1] + 1)
    assert count(server, 'baby_llama_waiting{model="debug"}') == 0


def test_a_full_queue_is_status_429(run):
    with serving(run.path, arguments=["--slots", "1", "--queue", "1"]) as server:
        status, answer = ask(server, TEXT, GREEDY | {"n": 3})
        assert status == 429 and answer["error"]["code"] == "queue_full"
        assert ask(server, TEXT, GREEDY | {"n": 2})[0] == 200


def test_who_reads_slowly_holds_up_nobody(server):
    """Sixteen streams of sixty pieces are more than the buffers of the connection hold."""
    address = urlsplit(server.address)
    fields = {"n": 16, "max_tokens": 58, "stream": True, "logprobs": 20}
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(30)
        slow.connect((address.hostname, address.port))
        slow.sendall(request_bytes(server, TEXT, json.dumps(GREEDY | fields).encode()))
        slow.recv(100)
        for _ in range(3):
            assert ask(server, TEXT, GREEDY)[0] == 200
        rest = b""
        while not rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            rest = rest[-100:] + slow.recv(1 << 16)
