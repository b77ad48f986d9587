"""A small language model in this process. It is loaded when it is first asked: many proxies only embed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.domain.errors import InvalidInputError
from services.llm_proxy import errors
from services.llm_proxy.http_client import http_client, openai_base
from services.llm_proxy.upstreams.chat_server import check_gguf, open_chat_server, served_as, smollm2_file
from services.llm_proxy.upstreams.first_use import FirstUse
from services.llm_proxy.upstreams.gathering import gathered
from services.llm_proxy.upstreams.openai import OpenAIUpstream
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, ModelCard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedChat:
    upstream: OpenAIUpstream
    calls_tools: bool


class EmbeddedChat:
    """Open it with `open_embedded_chat`. What the model cannot do is refused, never left out in silence."""

    name = "embedded-chat"

    def __init__(self, model: FirstUse[LoadedChat], served: str, *, completion_timeout: float) -> None:
        self._model = model
        self._served = served
        self._timeout = completion_timeout

    async def models(self) -> list[ModelCard] | None:
        return [ModelCard(id=self._served, owned_by="afterturn")]

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        upstream = await self._ready_for(request)
        # Asked for a whole answer, the server would go on with it when nobody waits for it any more.
        streamed = request.model_copy(update={"stream": True, "stream_options": {"include_usage": True}})
        try:
            async with asyncio.timeout(self._timeout), aclosing(upstream.stream(streamed)) as events:
                return await gathered(events)
        except TimeoutError:
            raise errors.late(self.name, self._timeout) from None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[bytes, None]:
        upstream = await self._ready_for(request)
        async with aclosing(upstream.stream(request)) as events:
            async for event in events:
                yield event

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        raise errors.refused_field("model", f"{request.model} completes chats only")

    async def _ready_for(self, request: ChatRequest) -> OpenAIUpstream:
        _check_request(request)
        try:
            async with asyncio.timeout(self._timeout):
                model = await self._model.get()
        except TimeoutError:
            raise errors.late(self.name, self._timeout) from None
        except InvalidInputError as error:
            logger.error("the embedded model cannot be loaded: %s", error)  # noqa: TRY400  the message says it all
            raise errors.ProxyError(503, "The embedded model cannot be loaded.", code="model_load_failed") from None
        wants_tools = request.tools and (request.model_extra or {}).get("tool_choice") != "none"
        if wants_tools and not model.calls_tools:
            raise errors.refused_field("tools", f"{request.model} calls no tools")
        return model.upstream


@asynccontextmanager
async def open_embedded_chat(gguf: Path | None, *, completion_timeout: float) -> AsyncIterator[EmbeddedChat]:
    """Offer `gguf`, or SmolLM2, under its file's name; a file that is no model is refused at once."""
    await asyncio.to_thread(check_gguf, gguf or smollm2_file())
    async with AsyncExitStack() as stack:

        async def load() -> LoadedChat:
            server = await stack.enter_async_context(open_chat_server(gguf))
            client = await stack.enter_async_context(http_client(openai_base(server.url), api_key=server.api_key))
            properties = (await client.get(f"{server.url}/props")).json()
            # Embeddings are refused before they get there.
            upstream = OpenAIUpstream(
                EmbeddedChat.name, client, completion_timeout=completion_timeout, embedding_timeout=completion_timeout
            )
            return LoadedChat(upstream, calls_tools=bool(properties["chat_template_caps"]["supports_tools"]))

        model = FirstUse(load)
        try:
            yield EmbeddedChat(model, served_as(gguf), completion_timeout=completion_timeout)
        finally:
            await model.settled()


def _check_request(request: ChatRequest) -> None:
    if (request.model_extra or {}).get("n", 1) not in (1, None):
        # The server would give several and count the tokens of one.
        raise errors.refused_field("n", f"{request.model} gives one answer")
    for index, message in enumerate(request.messages):
        parts = message.content if isinstance(message.content, list) else []
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in parts):
            raise errors.refused_field(f"messages[{index}].content", f"{request.model} reads text only")
