"""A server that speaks OpenAI's format: Ollama, vLLM, llama.cpp, OpenAI itself."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
from pydantic import ValidationError

from services.http import request_ids
from services.llm_proxy import errors
from services.llm_proxy.fast_json import parse_json
from services.llm_proxy.sse import DONE, EventTooLongError, event, event_data
from services.llm_proxy.wire import (
    ChatRequest,
    EmbeddingRequest,
    Embeddings,
    ModelCard,
    ModelList,
    Usage,
    embedding_answer,
)

_LIST_SECONDS = 5.0
_NO_LIST = (404, 405, 501)


class OpenAIUpstream:
    """`takes_max_tokens_only` is for Ollama, which leaves `max_completion_tokens` out of account without a word."""

    def __init__(
        self,
        name: str,
        client: httpx.AsyncClient,
        *,
        completion_timeout: float,
        embedding_timeout: float,
        takes_max_tokens_only: bool = False,
    ) -> None:
        self._name = name
        self._client = client
        self._completion_timeout = completion_timeout
        self._embedding_timeout = embedding_timeout
        self._takes_max_tokens_only = takes_max_tokens_only

    @property
    def name(self) -> str:
        return self._name

    async def models(self) -> list[ModelCard] | None:
        async with self._limit(_LIST_SECONDS):
            response = await self._client.get("models")
        if response.status_code in _NO_LIST:
            return None
        try:
            return ModelList.model_validate(self._json(response)).data
        except ValidationError:
            raise errors.broken(self._name, "answered with something else than a list of models") from None

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        answer = await self._post("chat/completions", self._payload(request), self._completion_timeout)
        choices = answer.get("choices")
        if isinstance(choices, list) and choices and all(_has_message(choice) for choice in choices):
            return answer
        raise errors.broken(self._name, "answered with something else than a completion")

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        answer = await self._post("embeddings", request.payload(), self._embedding_timeout)
        try:
            embeddings = Embeddings.model_validate(answer)
        except ValidationError:
            raise errors.broken(self._name, "answered with something else than embeddings") from None
        vectors = embeddings.vectors(request.count)
        if vectors is None:
            raise errors.broken(self._name, "did not answer with one embedding for each input")
        if request.dimensions is not None and any(len(vector) != request.dimensions for vector in vectors):
            raise errors.refused_field("dimensions", f"this model makes vectors of {len(vectors[0])} only")
        return embedding_answer(request, vectors, embeddings.usage or Usage())

    async def stream(self, request: ChatRequest) -> AsyncGenerator[bytes, None]:
        content = _encoded(self._payload(request))
        sent = self._client.build_request("POST", "chat/completions", content=content, headers=_headers())
        async with self._limit(self._completion_timeout):
            response = await self._client.send(sent, stream=True)
        try:
            await self._check_stream(response)
            async with aclosing(self._chunks(response)) as chunks:
                async for chunk in chunks:
                    yield event(chunk)
        finally:
            await response.aclose()

    async def _check_stream(self, response: httpx.Response) -> None:
        if response.status_code != httpx.codes.OK:
            async with self._limit(self._completion_timeout):
                await response.aread()
            self._json(response)
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise errors.broken(self._name, "answered a stream request with something else than a stream")

    async def _chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """Yield checked chunks and, last, `[DONE]`; a stream that just stops is an error, not an end."""
        finished = False
        stream = event_data(response.aiter_bytes())
        while (data := await self._next(stream)) not in (None, DONE):
            assert data is not None  # noqa: S101
            chunk = self._parsed(data)
            if chunk.get("error"):
                raise errors.from_error_member(self._name, chunk["error"])
            finished = finished or _is_finished(chunk)
            yield data
        if data is None and not finished:
            raise errors.broken(self._name, "ended its stream early")
        yield DONE

    async def _next(self, stream: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with self._limit(self._completion_timeout):
                return await anext(stream, None)
        except EventTooLongError:
            raise errors.broken(self._name, "sent an event without end") from None

    def _payload(self, request: ChatRequest) -> dict[str, Any]:
        payload = request.payload()
        if self._takes_max_tokens_only and "max_completion_tokens" in payload:
            limit = payload.pop("max_completion_tokens")
            payload.setdefault("max_tokens", limit)
        return payload

    async def _post(self, path: str, payload: dict[str, Any], seconds: float) -> dict[str, Any]:
        async with self._limit(seconds):
            response = await self._client.post(path, content=_encoded(payload), headers=_headers())
        return self._json(response)

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code != httpx.codes.OK:
            retry_after = response.headers.get("Retry-After")
            raise errors.from_answer(self._name, response.status_code, response.content, retry_after)
        answer = self._parsed(response.content)
        if answer.get("error"):
            raise errors.from_error_member(self._name, answer["error"])
        return answer

    def _parsed(self, data: bytes) -> dict[str, Any]:
        try:
            parsed = parse_json(data)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise errors.broken(self._name, "answered with something else than JSON")
        return parsed

    @asynccontextmanager
    async def _limit(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise errors.late(self._name, seconds) from None
        except httpx.DecodingError:
            raise errors.broken(self._name, "answered with a body that cannot be decoded") from None
        except httpx.RequestError:
            raise errors.unreachable(self._name) from None


def _headers() -> dict[str, str]:
    request_id = request_ids.current()
    return {"Content-Type": "application/json"} | ({request_ids.HEADER: request_id} if request_id else {})


def _encoded(payload: dict[str, Any]) -> bytes:
    # ASCII escapes carry even a lone surrogate, which is the upstream's to judge.
    return json.dumps(payload).encode("ascii")


def _has_message(choice: object) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def _is_finished(chunk: dict[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(isinstance(c, dict) and c.get("finish_reason") for c in choices)
