"""Requests byte by byte, as no client library sends them."""

import json
import socket
from urllib.parse import urlsplit

from serving.server import Server


def connect(server: Server, timeout: float = 30) -> socket.socket:
    address = urlsplit(server.address)
    return socket.create_connection((address.hostname, address.port), timeout)


def request_bytes(
    server: Server, path: str, body: bytes | None = None, method: str | None = None, **headers: str
) -> bytes:
    """A request; headers are named with _ for -, and None leaves one out."""
    method = method or ("GET" if body is None else "POST")
    fields = {"host": urlsplit(server.address).netloc, "content_type": "application/json"}
    if body is not None:
        fields["content_length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1"]
    for name, value in (fields | headers).items():
        if value is not None:
            lines.append(f"{name.replace('_', '-')}: {value}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of an answer; the connection is closed by the server or holds no more."""
    with connection.makefile("rb") as file:
        line = file.readline()
        if not line:
            return 0, b""
        headers = {}
        while (header := file.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            headers[name.lower()] = value.strip()
        length = headers.get(b"content-length")
        body = file.read() if length is None else file.read(int(length))
    return int(line.split()[1]), body


def ask(server: Server, path: str, body=None, **headers) -> tuple[int, dict]:
    """Status and JSON of an answer; a body that is not bytes is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    with connect(server) as connection:
        connection.sendall(request_bytes(server, path, body, **headers))
        status, answer = read_answer(connection)
    return status, json.loads(answer) if answer[:1] == b"{" else {}
