"""Errors in the form of OpenAI's interface: {"error": {message, type, param, code}}."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

INVALID, SERVER = "invalid_request_error", "server_error"
TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


class ApiError(Exception):
    """What a client did wrong, or what the server cannot do now, as one sentence."""

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        kind = TYPES.get(self.status, INVALID if self.status < 500 else SERVER)
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return {"www-authenticate": "Bearer"}
        return {"retry-after": "1"} if self.status == HTTPStatus.TOO_MANY_REQUESTS else {}

    def response(self) -> JSONResponse:
        """The error as an answer."""
        return JSONResponse(self.body, self.status, self.headers)


def add_error_handlers(app: FastAPI) -> None:
    """Let an app answer all errors in this form; nothing about the machine is revealed."""

    @app.exception_handler(ApiError)
    async def answer_error(request: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def answer_http(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return ApiError(error.status_code, message).response()

    @app.exception_handler(RequestValidationError)
    async def answer_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return invalid(error).response()

    @app.exception_handler(Exception)
    async def answer_unforeseen(request: Request, error: Exception) -> JSONResponse:
        return ApiError(500, "the server had an unexpected error").response()


def invalid(error: RequestValidationError) -> ApiError:
    """The first complaint of a validation, with the field it is about."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json")
    # Of a union of types, what follows the field's name says which alternative was tried.
    place = [str(part) for part in first["loc"] if part != "body"]
    message = first["msg"].removeprefix("Value error, ")
    if not place:
        return ApiError(400, f"the body: {message}")
    field = place[0]
    return ApiError(400, f"{field}: {message}", param=field)
