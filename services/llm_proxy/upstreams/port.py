from collections.abc import AsyncGenerator
from typing import Any, Protocol

from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, ModelCard


class Upstream(Protocol):
    """One place that answers model requests. Every failure is a `ProxyError`."""

    @property
    def name(self) -> str: ...

    async def models(self) -> list[ModelCard] | None:
        """What it offers; None when it does not say and takes any name."""

    async def complete(self, request: ChatRequest) -> dict[str, Any]: ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events, `[DONE]` the last; at least one, or it raises."""

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]: ...
