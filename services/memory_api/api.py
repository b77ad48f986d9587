"""Everything that a request may need, open for as long as the API serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from afterturn_client.memory_client import MemoryClient
from fastapi import Request

from activities.waking_webhooks import WebhookWaker
from services.access import Access
from services.http.loopback import is_loopback
from services.llm_proxy.http_client import http_client
from services.memories.prefetching import Prefetching
from services.memory_api.credentials import Credentials
from services.memory_api.metrics import Metrics
from services.memory_api.senders import Senders
from services.memory_api.tokens import Tokens
from services.operations.redriving import Redriving
from services.postgres.api.keys import ApiKeys
from services.postgres.api.outbox import Outbox
from services.postgres.api.repeated_requests import RepeatedRequests
from services.postgres.api.webhooks import Webhooks
from services.postgres.archive.room_access import RoomAccess
from services.resources import Resources, open_resources
from services.room_buffer.recorder import open_recorder
from services.settings import MemoryApiSettings, WebhookSettings, load


@dataclass(frozen=True, slots=True)
class Api:
    resources: Resources
    recorder: MemoryClient
    keys: ApiKeys
    credentials: Credentials
    access: Access
    senders: Senders
    repeated: RepeatedRequests
    prefetching: Prefetching
    redriving: Redriving
    waiting: asyncio.Semaphore
    metrics: Metrics
    webhooks: Webhooks
    waker: WebhookWaker
    allow_private_webhooks: bool
    mem0_token: str | None
    temporal_ui_url: str | None


@asynccontextmanager
async def open_api(settings: MemoryApiSettings, metrics: Metrics) -> AsyncIterator[Api]:
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources())
        recorder = await stack.enter_async_context(open_recorder())
        tokens = None
        if settings.believes_tokens:
            url = settings.memory_api_jwks_url or "http://localhost"
            tokens = Tokens(settings, await stack.enter_async_context(http_client(url)))
        webhooks = load(WebhookSettings)
        keys, rooms = ApiKeys(resources.database), RoomAccess(resources.database)
        yield Api(
            resources=resources,
            recorder=recorder,
            keys=keys,
            credentials=Credentials(keys, tokens, open_here=is_loopback(settings.memory_api_host)),
            access=Access(resources.reading, resources.buffer, rooms),
            senders=Senders(rooms, resources.recent),
            repeated=RepeatedRequests(resources.database),
            prefetching=await stack.enter_async_context(Prefetching.open(resources.sections)),
            redriving=Redriving(resources.quarantine, resources.archive, resources.temporal),
            waiting=asyncio.Semaphore(settings.memory_api_max_waiting),
            metrics=metrics,
            webhooks=Webhooks(resources.database),
            waker=WebhookWaker(resources.temporal, Outbox(resources.database)),
            allow_private_webhooks=webhooks.webhook_allow_private,
            mem0_token=webhooks.mem0_token,
            temporal_ui_url=settings.temporal_ui_url,
        )


# Coroutines, as all dependencies are: FastAPI takes plain functions to a thread.
async def api_of(request: Request) -> Api:
    api: Api = request.state.api
    return api
