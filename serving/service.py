"""From what a client sends to texts in the making, and on to its answer."""

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request as HttpRequest
from fastapi.responses import Response, StreamingResponse

from chat.messages import Message
from chat.passages import question_of, with_passages
from common.errors import UserError
from corpus.passages import Passage, PassageIndex
from generation.request import Request
from generation.sampling import Sampling
from generation.writer import Piece
from serving.answers import Answer, ChatAnswer, Choice, event_line
from serving.config import ServeConfig
from serving.engine import Engine, QueueFull, Texts
from serving.errors import ApiError
from serving.metrics import Metrics
from serving.models import ServedModel
from serving.schemas import ChatRequest, CompletionRequest
from serving.token_names import TokenNames

PASSAGES = 3
"""shown to the model for a question, at most"""
ANSWER_SHARE = 4
"""a quarter of the context is kept for an answer of no given length when passages are added"""
CLIENT_GONE = 499
"""as nginx calls it; nobody reads it"""


class Service:
    """Answers requests with the models of one engine."""

    def __init__(
        self,
        models: dict[str, ServedModel],
        engine: Engine,
        config: ServeConfig,
        metrics: Metrics,
        documents: PassageIndex | None = None,
    ):
        """`documents` are looked things up in for chats."""
        self.models, self.engine, self.config, self.metrics = models, engine, config, metrics
        self.documents = documents

    def model(self, name: str | None) -> ServedModel:
        """A model by its name; the first one where no name is given.

        Raises:
            ApiError: there is none of that name.
        """
        name = next(iter(self.models)) if name is None else name
        if name not in self.models:
            raise ApiError(
                HTTPStatus.NOT_FOUND,
                f"there is no model {name!r} here; GET /v1/models lists them",
                "model",
                "model_not_found",
            )
        return self.models[name]

    async def complete(self, body: CompletionRequest, http: HttpRequest) -> Response | dict:
        """Answer POST /v1/completions.

        Raises:
            ApiError: says what is wrong with it.
        """
        model = self.model(body.model)
        prompts = [self._ids(model, prompt) for prompt in body.prompts]
        likely = {
            "n_likely": body.logprobs,
            "score_prompt": body.echo and body.logprobs is not None,
        }
        ends = frozenset([model.tokenizer.eos_id])
        requests, choices = [], []
        for prompt in prompts:
            shown = model.tokenizer.decode(prompt) if body.echo else None
            for request in self._requests(model, prompt, body, body.max_tokens, ends, **likely):
                requests.append(request)
                choices.append(Choice(len(choices), shown, len(prompt)))
        names = TokenNames(model.tokenizer)
        answer = Answer(model.name, names, choices, body.logprobs is not None)
        return await self._answer(answer, requests, body, http)

    async def chat(self, body: ChatRequest, http: HttpRequest) -> Response | dict:
        """Answer POST /v1/chat/completions.

        Raises:
            ApiError: says what is wrong with it, or that the run has no chat template.
        """
        model = self.model(body.model)
        if model.template is None:
            raise ApiError(
                HTTPStatus.BAD_REQUEST,
                f"the run {model.name} has no chat template: it was trained to continue texts; "
                "use /v1/completions",
                "model",
            )
        limit = body.max_completion_tokens or body.max_tokens
        prompt, passages = await self._chat_prompt(model, body, limit)
        max_tokens = limit or min(self.config.max_tokens, model.context)
        likely = {"n_likely": body.top_logprobs if body.logprobs else None}
        ends = frozenset(model.template.end_ids)
        requests = list(self._requests(model, prompt, body, max_tokens, ends, **likely))
        choices = [Choice(i, None, len(prompt)) for i in range(body.n)]
        sources = [dataclasses.asdict(passage) for passage in passages]
        names = TokenNames(model.tokenizer)
        answer = ChatAnswer(model.name, names, choices, body.logprobs, sources)
        return await self._answer(answer, requests, body, http)

    async def _chat_prompt(
        self, model: ServedModel, body: ChatRequest, limit: int | None
    ) -> tuple[list[int], list[Passage]]:
        """Ids of the dialogue, and the passages in it: as many as leave room for the answer.

        Raises:
            ApiError: the messages are no dialogue that can be answered, or too long.
        """
        try:
            messages = [Message(message.known_role, message.text) for message in body.messages]
            ids = self._ids(model, model.template.prompt_ids(messages))
        except UserError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"messages: {error}", "messages") from error
        if self.documents is None:
            return ids, []
        question = question_of(messages)
        passages = await asyncio.to_thread(self.documents.search, question, PASSAGES)
        room = model.context - 1 - (limit or model.context // ANSWER_SHARE)
        while passages:
            extended = with_passages(messages, [passage.text for passage in passages])
            with_them = model.template.prompt_ids(extended)
            if len(with_them) <= room:
                return with_them, passages
            passages.pop()
        return ids, []

    def _ids(self, model: ServedModel, prompt: str | Sequence[int]) -> list[int]:
        """Ids of a prompt of either kind.

        Raises:
            ApiError: it has ids that the vocabulary has not, or too many.
        """
        ids = model.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        size = model.tokenizer.vocab_size
        if ids and max(ids) >= size:
            raise ApiError(400, f"prompt: the vocabulary has ids 0 to {size - 1}", "prompt")
        if len(ids) > model.batch.longest_prompt:
            raise ApiError(
                HTTPStatus.BAD_REQUEST,
                f"the prompt has {len(ids)} tokens; with a context of {model.context}, "
                f"{model.batch.longest_prompt} are the most",
                "prompt",
                "context_length_exceeded",
            )
        return ids

    def _requests(
        self,
        model: ServedModel,
        prompt: Sequence[int],
        body: CompletionRequest | ChatRequest,
        max_tokens: int,
        end_ids: frozenset[int],
        **more: Any,
    ) -> Iterator[Request]:
        """n texts of a prompt."""
        if max_tokens > self.config.max_tokens:
            raise ApiError(
                400, f"max_tokens: at most {self.config.max_tokens} are written here", "max_tokens"
            )
        n_prompts = len(body.prompts) if isinstance(body, CompletionRequest) else 1
        if body.n * n_prompts > self.config.max_choices:
            raise ApiError(
                400, f"n: at most {self.config.max_choices} texts a request are written here", "n"
            )
        fields = [field.name for field in dataclasses.fields(Sampling)]
        values = {name: getattr(body, name) for name in fields if hasattr(body, name)}
        seed = secrets.randbits(63) if body.seed is None else body.seed % (1 << 63)
        sampling = Sampling(**values | {"seed": seed, "max_new_tokens": max_tokens})
        deadline = time.monotonic() + self.config.time_limit
        for sample in range(body.n):
            yield Request(
                prompt=prompt,
                sampling=sampling,
                end_ids=end_ids,
                stops=body.stops,
                sample=sample,
                deadline=deadline,
                **more,
            )

    async def _answer(
        self,
        answer: Answer,
        requests: Sequence[Request],
        body: CompletionRequest | ChatRequest,
        http: HttpRequest,
    ) -> Response | dict:
        try:
            texts = self.engine.submit(body.model, requests)
        except QueueFull:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many texts are waiting; try again later",
                code="queue_full",
            ) from None
        if body.stream:
            usage = bool(body.stream_options and body.stream_options.include_usage)
            lines = self._lines(answer, texts, usage)
            return StreamingResponse(
                lines, media_type="text/event-stream", headers={"cache-control": "no-store"}
            )
        return await self._whole(answer, texts, http)

    async def _pieces(self, answer: Answer, texts: Texts) -> AsyncIterator[dict[str, Any]]:
        """The pieces of an answer; who stops reading them cancels what is left."""
        begun = set()
        try:
            async for index, event in texts:
                if isinstance(event, Piece) and index not in begun:
                    begun.add(index)
                    first = time.monotonic() - answer.begin
                    self.metrics.first.labels(texts.model).observe(first)
                piece = answer.take(index, event)
                if piece is not None:
                    yield piece
            answer.count(self.metrics)
        finally:
            self.engine.cancel(texts)

    async def _lines(self, answer: Answer, texts: Texts, usage: bool) -> AsyncIterator[str]:
        """Server-sent events; an error after the first one is an event as well."""
        if isinstance(answer, ChatAnswer):
            yield event_line(answer.opening())
        try:
            async with contextlib.aclosing(self._pieces(answer, texts)) as pieces:
                async for piece in pieces:
                    yield event_line(piece)
        except ApiError as error:
            yield event_line(error.body)
        else:
            if usage:
                yield event_line(answer.usage_piece())
        yield event_line("[DONE]")

    async def _whole(self, answer: Answer, texts: Texts, http: HttpRequest) -> Response | dict:
        """The answer in one; it is given up when the client goes away."""

        async def collect() -> None:
            async for _ in self._pieces(answer, texts):
                pass

        async def gone() -> None:
            while (await http.receive())["type"] != "http.disconnect":
                pass

        tasks = [asyncio.create_task(collect()), asyncio.create_task(gone())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                return Response(status_code=CLIENT_GONE)
            tasks[0].result()
        finally:
            self.engine.cancel(texts)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return answer.whole()
