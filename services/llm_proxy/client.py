"""The caller's side of the proxy, or of any server that speaks OpenAI's format."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.llm_proxy.caller import PURPOSE_HEADER, TENANT_HEADER
from services.llm_proxy.http_client import http_client
from services.llm_proxy.retry_after import retry_after_seconds
from services.llm_proxy.trace_headers import trace_headers
from services.llm_proxy.wire import Embeddings, Usage

_BATCH = 128
# The request itself is at fault. Everything else is an outage: it is waited out, an unknown model too, which an
# operator may still pull.
_REFUSED = (400, 413, 422)
AnswerT = TypeVar("AnswerT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said. `finish_reason` is `length` when it was cut off."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _ChatAnswer(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: Usage | None = None


class ModelClient:
    """Asks models through the proxy; opened with `ModelClient.open`.

    Raises `ModelUnavailableError` for everything that may pass, `ModelRefusedError` for a request that never can.
    """

    def __init__(self, http: httpx.AsyncClient, timeout_completion: float, timeout_embedding: float) -> None:
        self._http = http
        self._timeout_completion = timeout_completion
        self._timeout_embedding = timeout_embedding

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_completion: float = 60.0,
        timeout_embedding: float = 30.0,
    ) -> AsyncIterator[Self]:
        async with http_client(base_url, api_key=api_key) as http:
            yield cls(http, timeout_completion, timeout_embedding)

    async def complete(  # noqa: PLR0913  named, as OpenAI names them
        self,
        *,
        model: str,
        messages: Sequence[dict[str, str]],
        max_tokens: int,
        json_schema: dict[str, Any] | None = None,
        temperature: float = 0.0,
        frequency_penalty: float | None = None,
        seed: int | None = None,
        tenant: str | None = None,
        purpose: str | None = None,
    ) -> Completion:
        """Complete a chat; with `json_schema` the text is JSON that the model was held to.

        `tenant` is whose budget and turn it is, and `purpose` a word under which its cost is counted.
        """
        request: dict[str, Any] = {
            "model": model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": False,
        }
        if json_schema is not None:
            held_to = {"name": "answer", "schema": json_schema, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": held_to}
        chosen = {"frequency_penalty": frequency_penalty, "seed": seed}
        request |= {name: value for name, value in chosen.items() if value is not None}
        answer = await self._ask(
            "v1/chat/completions", request, _headers(tenant, purpose), _ChatAnswer, self._timeout_completion
        )
        choice, usage = answer.choices[0], answer.usage or Usage()
        return Completion(
            text=choice.message.content or "",
            finish_reason=choice.finish_reason or "stop",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )

    async def embed(
        self,
        *,
        model: str,
        texts: Sequence[str],
        input_type: Literal["query", "passage"],
        tenant: str | None = None,
        purpose: str | None = None,
    ) -> list[list[float]]:
        """Embed texts, in their order; more than a batch takes several requests, one after the other."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            vectors += await self._embed_batch(model, batch, input_type, _headers(tenant, purpose))
        return vectors

    async def ready(self) -> bool:
        """Whether the proxy answers and says that the configured models do."""
        try:
            async with asyncio.timeout(self._timeout_embedding):
                response = await self._http.get("ready")
        except (TimeoutError, httpx.RequestError):
            return False
        return response.status_code == httpx.codes.OK

    async def _embed_batch(
        self, model: str, texts: Sequence[str], input_type: str, headers: dict[str, str]
    ) -> list[list[float]]:
        request = {"model": model, "input": list(texts), "input_type": input_type, "encoding_format": "float"}
        answer = await self._ask("v1/embeddings", request, headers, Embeddings, self._timeout_embedding)
        vectors = answer.vectors(len(texts))
        if vectors is None:
            raise ModelUnavailableError("the model did not answer with one embedding for each text", status=200)
        return vectors

    async def _ask(
        self, path: str, request: dict[str, Any], headers: dict[str, str], shape: type[AnswerT], seconds: float
    ) -> AnswerT:
        response = await self._post(path, request, headers, seconds)
        if response.status_code != httpx.codes.OK:
            raise _failure(response)
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            # Chained, it would quote the answer.
            raise ModelUnavailableError("the model's answer cannot be read", status=200) from None

    async def _post(
        self, path: str, request: dict[str, Any], headers: dict[str, str], seconds: float
    ) -> httpx.Response:
        content = json.dumps(request).encode("ascii")
        try:
            async with asyncio.timeout(seconds):
                return await self._http.post(
                    path, content=content, headers={"Content-Type": "application/json", **headers}
                )
        except TimeoutError:
            raise ModelUnavailableError(f"the model did not answer within {seconds:g} s") from None
        except httpx.RequestError as error:
            raise ModelUnavailableError(f"the model cannot be reached ({type(error).__name__})") from None


def _headers(tenant: str | None, purpose: str | None) -> dict[str, str]:
    """Who asks and what for, in the trace that is being recorded."""
    given = {TENANT_HEADER: quote(tenant) if tenant else None, PURPOSE_HEADER: purpose}
    return {name: value for name, value in given.items() if value} | trace_headers()


def _failure(response: httpx.Response) -> ModelRefusedError | ModelUnavailableError:
    status = response.status_code
    if status in _REFUSED:
        return ModelRefusedError(f"the model refused the request with status {status}", status=status)
    wait = retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
    return ModelUnavailableError(f"the model is unavailable, status {status}", status=status, retry_after=wait)
