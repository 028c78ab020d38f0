"""A server process: the model thread behind, uvicorn in front."""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.errors import UserError
from corpus.passages import PassageIndex
from serving.api import make_app
from serving.config import ServeConfig
from serving.engine import Engine
from serving.guard import Guard
from serving.metrics import Metrics
from serving.models import ServedModel, load_models
from serving.options import Options, parse_options
from serving.page import add_page
from serving.service import Service

log = logging.getLogger(__name__)

LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
SHUTDOWN_SECONDS = 5


class PatientProtocol(H11Protocol):
    """HTTP that ends connections whose other side takes too long to send headers or to read."""

    patience = 10.0
    """seconds"""

    def connection_made(self, transport) -> None:
        """Wait for headers."""
        super().connection_made(transport)
        self.stalled = None
        self.late = self.loop.call_later(self.patience, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Wait no longer once headers are whole; the body has its own limit."""
        if self.late is None and (self.cycle is None or self.cycle.response_complete):
            self.late = self.loop.call_later(self.patience, self._give_up)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Nothing is waited for between requests but by uvicorn itself."""
        self._stop_waiting()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to: it may for a while."""
        super().pause_writing()
        self.stalled = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None
        super().resume_writing()

    def _stop_waiting(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None

    def _give_up(self) -> None:
        self.late = None
        if not self.transport.is_closing():
            self.transport.write(LATE)
            self.transport.close()


class AnnouncedServer(uvicorn.Server):
    """Says where it is once signals end it in order: a Ctrl-C before that would be untidy."""

    announcement = ""

    async def startup(self, sockets=None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        if self.announcement:
            print(self.announcement, flush=True)


class Server:
    """Serves runs until it is stopped."""

    def __init__(self, paths: Sequence[Path], options: Options):
        """Listen, and load the runs.

        Raises:
            UserError: the address cannot be listened on, or a run cannot be loaded.
        """
        config = options.config
        self.socket = listen(options.host, options.port)
        host, port = self.socket.getsockname()[:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.models: dict[str, ServedModel] = {}

        def load():
            self.models = load_models(paths, options.overrides, config.slots)
            return {name: model.batch for name, model in self.models.items()}

        self.engine = Engine(load, config.slots + config.queue)
        try:
            documents = self._open_documents(options.documents)
        except UserError:
            self.engine.stop()
            raise
        metrics = Metrics()
        metrics.watch(self.engine)
        app = make_app(Service(self.models, self.engine, config, metrics, documents))
        if options.web:
            add_page(app)
        guarded = Guard(app, config, options.host, options.api_key, metrics)
        self.uvicorn = AnnouncedServer(uvicorn_config(guarded, config))

    def _open_documents(self, folder: Path | None) -> PassageIndex | None:
        if folder is None:
            return None
        if not any(model.template for model in self.models.values()):
            raise UserError(
                "--documents is for chats, and none of these runs has a chat template; train one "
                "with post_train.py"
            )
        begin = time.monotonic()
        index = PassageIndex.open(folder)
        log.info("%s: %s passages, %.1f s", folder, f"{len(index):,}", time.monotonic() - begin)
        return index

    def run(self, announcement: str = "") -> None:
        """Print the announcement, and answer until SIGINT, SIGTERM or `stop`."""
        self.uvicorn.announcement = announcement
        try:
            asyncio.run(self.uvicorn.serve([self.socket]))
        finally:
            self.engine.stop()
            self.socket.close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self.uvicorn.should_exit = True


def uvicorn_config(app, config: ServeConfig) -> uvicorn.Config:
    """How uvicorn runs the application."""
    protocol = type("Protocol", (PatientProtocol,), {"patience": float(config.read_timeout)})
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        limit_concurrency=config.connections,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=None,
        log_level="error",
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UserError: the address is not this computer's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio lets small packets go at once.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(socket.SOMAXCONN)
    except OSError as error:
        found.close()
        raise UserError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port, "
            "0 for a free one"
        ) from error
    return found


def serve_page(run: Path, port: int, overrides: Sequence[str]) -> None:
    """Serve a run and its page on this computer only, until Ctrl-C.

    Raises:
        UserError: the port cannot be listened on, or the run cannot be loaded.
    """
    server = Server([run], parse_options(["--web", "--port", str(port), *overrides]))
    server.run(f"Open {server.address}/ in a browser; Ctrl-C ends.")
