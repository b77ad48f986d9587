from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from services.llm_proxy import errors
from services.llm_proxy.body_limit import BodyLimit
from services.llm_proxy.routes import routes
from services.llm_proxy.routing import Router
from services.llm_proxy.upstreams.opening import check_upstreams, open_upstreams
from services.settings import ProxySettings


def create_app(settings: ProxySettings) -> FastAPI:
    """The proxy as an ASGI application; its upstreams are open from start to shutdown."""
    check_upstreams(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_upstreams(settings) as upstreams:
            yield {"router": Router(upstreams), "settings": settings}

    app = FastAPI(title="Afterturn LLM proxy", lifespan=lifespan)
    app.include_router(routes)
    app.add_middleware(BodyLimit, limit=settings.llm_proxy_max_body_bytes)
    errors.install(app)
    return app
