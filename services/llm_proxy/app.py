from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from services.http.body_limit import BodyLimit
from services.http.contained import Contained
from services.http.request_ids import RequestIds
from services.llm_proxy import errors
from services.llm_proxy.credentials import ApiKey
from services.llm_proxy.probes import probes
from services.llm_proxy.routes import routes
from services.llm_proxy.upstream_plan import plan_upstreams
from services.llm_proxy.wiring import open_proxy
from services.settings import ProxySettings


class _Proxy(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """Add what stands outside even of FastAPI's own answers to errors."""
        return Contained(RequestIds(super().build_middleware_stack()))


def create_app(settings: ProxySettings) -> FastAPI:
    """The proxy as an ASGI application; its upstreams are open from start to shutdown."""
    plan = plan_upstreams(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_proxy(plan, settings) as state:
            yield state

    app = _Proxy(title="Afterturn LLM proxy", lifespan=lifespan)
    app.include_router(routes)
    app.include_router(probes)
    app.add_middleware(BodyLimit, limit=settings.llm_proxy_max_body_bytes)
    if settings.proxy_key:
        app.add_middleware(ApiKey, key=settings.proxy_key)
    errors.install(app)
    return app
