from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.llm_proxy.http_client import http_client, openai_base
from services.llm_proxy.trace_headers import add_trace
from services.llm_proxy.upstream_file import EMBEDDED, UpstreamEntry
from services.llm_proxy.upstream_plan import UpstreamPlan
from services.llm_proxy.upstreams.openai import OpenAIUpstream
from services.llm_proxy.upstreams.port import Upstream
from services.settings import ProxySettings

# What the embedded models do at once: requests to E5 take turns in one thread, and the chat server has two slots.
_E5_AT_ONCE = 4
_CHATS_AT_ONCE = 2
# Lists of models are asked for while every place is taken.
_SPARE_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class OpenedUpstream:
    upstream: Upstream
    entry: UpstreamEntry
    max_concurrent: int


@asynccontextmanager
async def open_upstreams(plan: UpstreamPlan, settings: ProxySettings) -> AsyncIterator[list[OpenedUpstream]]:
    """Open every upstream of the plan, in the order in which they are asked for a model."""
    async with AsyncExitStack() as stack:
        opened: list[OpenedUpstream] = []
        for entry in plan.file.upstreams:
            if entry.kind == EMBEDDED:
                opened += await _open_embedded(entry, settings, stack)
            else:
                opened.append(await _open_server(entry, plan.keys.get(entry.name), settings, stack))
        yield opened


async def _open_embedded(entry: UpstreamEntry, settings: ProxySettings, stack: AsyncExitStack) -> list[OpenedUpstream]:
    # Optional packages: a proxy in front of servers runs without them.
    from services.llm_proxy.upstreams.embedded_chat import open_embedded_chat  # noqa: PLC0415
    from services.llm_proxy.upstreams.embedded_e5 import open_e5  # noqa: PLC0415

    e5 = await stack.enter_async_context(open_e5(entry.embedding_timeout or settings.embedding_timeout))
    seconds = entry.completion_timeout or settings.completion_timeout
    chat = await stack.enter_async_context(open_embedded_chat(entry.gguf, completion_timeout=seconds))
    return [
        OpenedUpstream(e5, entry, entry.max_concurrent or _E5_AT_ONCE),
        OpenedUpstream(chat, entry, entry.max_concurrent or _CHATS_AT_ONCE),
    ]


async def _open_server(
    entry: UpstreamEntry, api_key: str | None, settings: ProxySettings, stack: AsyncExitStack
) -> OpenedUpstream:
    assert entry.url is not None, "the file was checked"  # noqa: S101
    places = entry.max_concurrent or settings.llm_proxy_max_concurrent
    client = await stack.enter_async_context(
        http_client(openai_base(entry.url), api_key=api_key, connections=places + _SPARE_CONNECTIONS)
    )
    client.event_hooks["request"].append(add_trace)
    upstream = OpenAIUpstream(
        entry.name,
        client,
        completion_timeout=entry.completion_timeout or settings.completion_timeout,
        embedding_timeout=entry.embedding_timeout or settings.embedding_timeout,
        takes_max_tokens_only=entry.kind == "ollama",
    )
    return OpenedUpstream(upstream, entry, places)
