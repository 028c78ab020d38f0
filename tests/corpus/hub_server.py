"""A server on 127.0.0.1 that speaks as much of the hub's protocol as fetching needs."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Repositories by name and kind: `files["datasets/OWNER/NAME"]["path"]` is a content."""

    def __init__(self, files: dict[str, dict[str, bytes]], handler: type):
        super().__init__(("127.0.0.1", 0), handler)
        self.files = files
        self.commit = COMMIT
        self.requests: list[str] = []
        self.cut_after: int | None = None
        """bytes after which the next answer breaks off"""
        self.spoiled: set[str] = set()
        """paths that are sent with another content"""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HuggingFaceHandler(BaseHTTPRequestHandler):
    """Commit and tree of a repository under /api/, its files under /resolve/."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self) -> None:  # noqa: N802, http.server's name
        self.answer(head=True)

    def do_GET(self) -> None:  # noqa: N802, http.server's name
        self.answer(head=False)

    def answer(self, head: bool) -> None:
        path = self.path.split("?")[0]
        self.server.requests.append(
            f"{self.command} {path} {self.headers.get('Range', '')}".strip()
        )
        if found := re.fullmatch(
            r"/api/(datasets|models)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path
        ):
            kind, name, what, revision = found.groups()
            files = self.server.files.get(f"{kind}/{name}")
            if files is None or revision not in (None, "main", "v1", self.server.commit):
                return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            if what != "tree":
                return self.json({"id": name, "sha": self.server.commit, "siblings": []})
            return self.json([listed(path, content) for path, content in files.items()])
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, name, _, file = found.groups()
            content = self.server.files[f"{(kind or 'models/').strip('/')}/{name}"][file]
            return self.content(content, file, head)
        return self.send(404, b"{}", {})

    def json(self, value) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def content(self, content: bytes, file: str, head: bool) -> None:
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": self.server.commit,
            "Accept-Ranges": "bytes",
        }
        if file in self.server.spoiled:
            content = content[::-1]
        if head:
            return self.send(200, b"", headers, len(content))
        begin = int(re.match(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        status = 206 if "Range" in self.headers else 200
        if status == 206:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        rest, size = content[begin:], len(content) - begin
        if self.server.cut_after is not None:
            rest, self.server.cut_after = rest[: self.server.cut_after], None
            self.close_connection = True
        return self.send(status, rest, headers, size)

    def send(
        self, status: int, body: bytes, headers: dict[str, str], size: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        self.wfile.write(body)


class ModelScopeHandler(HuggingFaceHandler):
    """Lists of files under /repo/files and /repo/tree, files under /repo."""

    def answer(self, head: bool) -> None:
        address = urlsplit(self.path)
        query = {name: value for name, (value, *_) in parse_qs(address.query).items()}
        self.server.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
        found = re.fullmatch(r"/api/v1/(datasets|models)/([^/]+/[^/]+)/repo(.*)", address.path)
        files = self.server.files.get(f"{found[1]}/{found[2]}") if found else None
        if files is None:
            missing = {"Code": 404, "Success": False, "Message": "not found"}
            return self.send(404, json.dumps(missing).encode(), {})
        if found[3] in ("/files", "/tree"):
            entries = [
                {
                    "Path": path,
                    "Size": len(content),
                    "Sha256": hashlib.sha256(content).hexdigest(),
                    "Type": "blob",
                }
                for path, content in files.items()
            ]
            return self.json({"Code": 200, "Success": True, "Data": {"Files": entries}})
        return self.content(files[query["FilePath"]], query["FilePath"], head)


def listed(path: str, content: bytes) -> dict:
    """A file as the hub lists it; large ones with their SHA-256."""
    entry = {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
    if len(content) > 1000:
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
    return entry


@contextmanager
def serve(
    files: dict[str, dict[str, bytes]], handler: type = HuggingFaceHandler
) -> Iterator[HubServer]:
    """A running server with these files."""
    with HubServer(files, handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
