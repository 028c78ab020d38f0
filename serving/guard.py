"""What stands before every request: who may ask, from where, how much and how long."""

import asyncio
import hmac
import ipaddress
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.config import ServeConfig
from serving.errors import ApiError
from serving.metrics import Metrics
from serving.options import LOOPBACK
from serving.page import FILES

OPEN_PATHS = ("/health", *FILES)
"""what is answered without a key; the page asks for it"""


class Guard:
    """An ASGI application around another one.

    A page of another site may send requests to this computer from a browser (and, by DNS
    rebinding, read answers); its Origin and Host give it away.
    """

    def __init__(
        self, app: ASGIApp, config: ServeConfig, host: str, api_key: str | None, metrics: Metrics
    ):
        self.app, self.config, self.metrics = app, config, metrics
        self.local = host == LOOPBACK
        self.names = {"localhost", host}
        self.key = api_key and api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on with its body read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.monotonic(), HTTPStatus.INTERNAL_SERVER_ERROR

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            body = await self._read(scope, receive)
        except ApiError as error:
            await error.response()(scope, receive, watched)
        else:
            await self.app(scope, _replayed(body, receive), watched)
        finally:
            self.metrics.answered(scope["path"], status, time.monotonic() - begin)

    def _check(self, scope: Scope) -> None:
        """Refuse who may not ask.

        Raises:
            ApiError: says why.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known(host):
            raise ApiError(HTTPStatus.FORBIDDEN, "the Host header names another server")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise ApiError(HTTPStatus.FORBIDDEN, "pages of other sites may not use this server")
        if self.key is None or scope["path"] in OPEN_PATHS:
            return
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), self.key):
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                code="invalid_api_key",
            )

    def _known(self, host: str) -> bool:
        """Whether a Host header can be meant for this server: its names, and plain addresses.

        Rebinding needs a name, so that an address is safe; without --host only loopback is.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
            address = None if name in self.names else ipaddress.ip_address(name)
        except ValueError:
            return False
        return address is None or address.is_loopback or not self.local

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """The body.

        Raises:
            ApiError: it is too long, or does not come.
        """
        length = Headers(scope=scope).get("content-length", "0")
        limit = self.config.max_body
        too_long = ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {limit:,} bytes"
        )
        if length.isdigit() and int(length) > limit:
            raise too_long
        body = bytearray()

        async def read() -> None:
            more = True
            while more:
                message = await receive()
                body.extend(message.get("body", b""))
                more = message.get("more_body", False)
                if len(body) > limit:
                    raise too_long

        try:
            await asyncio.wait_for(read(), self.config.read_timeout)
        except asyncio.TimeoutError:
            raise ApiError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body was not received within {self.config.read_timeout} seconds",
            ) from None
        return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that gives a body that was read, and then what follows it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
