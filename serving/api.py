"""The paths of the server."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from serving.errors import ApiError, add_error_handlers
from serving.models import ServedModel
from serving.schemas import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from serving.service import Service

OWNER = "baby-llama2-mindspore"


def make_app(service: Service) -> FastAPI:
    """The application: OpenAI's interface, and what harnesses and monitors ask for."""
    app = FastAPI(title=OWNER, openapi_url=None, docs_url=None, redoc_url=None)
    add_error_handlers(app)
    _add_models(app, service)
    _add_tokenizer(app, service)

    @app.post("/v1/completions")
    async def complete(body: CompletionRequest, request: Request):
        return await service.complete(body, request)

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request):
        return await service.chat(body, request)

    @app.get("/health")
    async def health():
        if not service.engine.alive:
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "the model thread has ended")
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")

    return app


def _add_models(app: FastAPI, service: Service) -> None:
    def describe(name: str) -> dict[str, Any]:
        model = service.model(name)
        return {
            "id": model.name,
            "object": "model",
            "created": model.created,
            "owned_by": OWNER,
            "max_model_len": model.context,
            **_page_fields(model),
        }

    @app.get("/models")
    @app.get("/v1/models")
    async def list_models():
        return {"object": "list", "data": [describe(name) for name in service.models]}

    @app.get("/v1/models/{name}")
    async def one_model(name: str):
        return describe(name)


def _page_fields(model: ServedModel) -> dict[str, Any]:
    """What the page begins with: whether the model chats, and the settings of its recipe."""
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")
    settings = {name: getattr(model.eval, name) for name in names}
    settings["max_tokens"] = min(model.eval.max_new_tokens, model.context - 2)
    prompt = model.eval.prompts[0] if model.eval.prompts else ""
    return {"chat": model.template is not None, "settings": settings, "prompt": prompt}


def _add_tokenizer(app: FastAPI, service: Service) -> None:
    """As vLLM has it, which lm-eval asks for; a request names no model there."""

    @app.get("/tokenizer_info")
    async def tokenizer_info(model: str | None = None):
        tokenizer = service.model(model).tokenizer
        eos = tokenizer.piece(tokenizer.eos_id)
        # A document begins after the end of another one.
        return {"eos_token": eos, "bos_token": eos, "vocab_size": tokenizer.vocab_size}

    @app.post("/tokenize")
    async def tokenize(body: TokenizeRequest):
        model = service.model(body.model)
        tokenizer = model.tokenizer
        if body.prompt == tokenizer.piece(tokenizer.eos_id):
            ids = [tokenizer.eos_id]
        else:
            ids = tokenizer.encode(body.prompt)
        return {"tokens": ids, "count": len(ids), "max_model_len": model.context}

    @app.post("/detokenize")
    async def detokenize(body: DetokenizeRequest):
        return {"prompt": service.model(body.model).tokenizer.decode(body.tokens)}
