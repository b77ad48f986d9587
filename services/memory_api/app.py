from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from services.http.body_limit import BodyLimit
from services.http.contained import Contained
from services.http.json_response import AsciiJSONResponse
from services.http.request_ids import RequestIds
from services.memory_api import codec_origin, mcp_endpoint, page, problems
from services.memory_api.api import open_api
from services.memory_api.documented import document
from services.memory_api.metrics import Measured, Metrics
from services.memory_api.routes import (
    analytics,
    backfills,
    caller,
    codec,
    commands,
    context,
    deletion,
    keys,
    known_owners,
    live,
    mem0_hints,
    memories,
    owners,
    probes,
    quarantine,
    receipts,
    recording,
    rooms,
    searching,
    sections,
    sessions,
    webhooks,
)
from services.settings import MemoryApiSettings

# A module of routes for each area. Those of an owner stand once under each prefix.
AREAS = (
    recording,
    receipts,
    live,
    deletion,
    rooms,
    known_owners,
    context,
    searching,
    sessions,
    backfills,
    quarantine,
    analytics,
    keys,
    caller,
    codec,
    probes,
    mem0_hints,
    webhooks,
)
OF_OWNERS = (memories, sections, commands, owners)
OWNERS = ("/v1/users/{owner_id}", "/v1/companies/{owner_id}")
_DESCRIPTION = (
    "Record chat turns, read what became of them, and gather what to put in front of a model. "
    "Errors are problem documents (RFC 9457); lists are paged by `cursor`."
)


class _MemoryApi(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """Add what stands outside even of FastAPI's own answers to errors."""
        return Contained(RequestIds(super().build_middleware_stack()))

    def openapi(self) -> dict[str, Any]:
        return document(self)


def create_app(settings: MemoryApiSettings) -> FastAPI:
    """The memory API as an ASGI application; its clients are open from start to shutdown."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_api(settings, metrics) as api, mcp_endpoint.serving_mcp(api, settings) as mcp:
            yield {"api": api, "mcp": mcp}

    app = _MemoryApi(
        title="Afterturn memory API",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        default_response_class=AsciiJSONResponse,
        redoc_url=None,
    )
    for area in AREAS:
        app.include_router(area.router)
    for prefix in OWNERS:
        for area in OF_OWNERS:
            app.include_router(area.router, prefix=prefix)
    app.add_middleware(BodyLimit, limit=settings.memory_api_max_body_bytes)
    app.add_middleware(Measured, metrics=metrics)
    codec_origin.install(app, settings.temporal_ui_url)
    mcp_endpoint.install(app, settings)
    page.install(app)
    problems.install(app)
    return app
