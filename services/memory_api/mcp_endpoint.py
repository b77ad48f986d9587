"""`/mcp`: the agent tools by streamable HTTP. Nothing is kept between two requests, so any process answers any."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.agent_tools.mcp_server import Asked, mcp_server
from services.agent_tools.opening import memory_of
from services.credential import Credential
from services.http.loopback import is_loopback
from services.memory_api.api import Api, api_of
from services.memory_api.problems import forbidden
from services.settings import MemoryApiSettings

_HERE = r"https?://(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?"
_HEADERS = ("Authorization", "Content-Type", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name")


class McpEndpoint:
    """Lets in whoever has a credential, and no web page but those of `origins` and of this machine."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # A page of any site may reach us under a name of its own, so that the browser takes us for that site.
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_allowed(origin):
            raise forbidden("The Origin is not one of MEMORY_API_MCP_ORIGINS.")
        request.state.credential = await (await api_of(request)).credentials.of(request)
        await request.state.mcp.handle_request(scope, receive, send)

    def _is_allowed(self, origin: str) -> bool:
        return origin in self._origins or is_loopback(_host(origin))


def install(app: FastAPI, settings: MemoryApiSettings) -> None:
    origins = settings.mcp_origins
    # A browser asks first whether a page from elsewhere may send its key along.
    endpoint = CORSMiddleware(
        McpEndpoint(frozenset(origins)),
        allow_origins=origins,
        allow_origin_regex=_HERE,
        allow_methods=["POST"],
        allow_headers=_HEADERS,
    )
    app.router.routes.append(Route("/mcp", endpoint, methods=["POST", "OPTIONS"], include_in_schema=False))


@asynccontextmanager
async def serving_mcp(api: Api, settings: MemoryApiSettings) -> AsyncIterator[StreamableHTTPSessionManager]:
    manager = StreamableHTTPSessionManager(
        mcp_server(memory_of(api.resources), _identify),
        json_response=True,
        stateless=True,
        max_request_body_size=settings.memory_api_max_body_bytes,
    )
    async with manager.run():
        yield manager


async def _identify(asked: Asked) -> Credential:
    assert asked.request is not None  # noqa: S101  by HTTP there always is one
    credential: Credential = asked.request.state.credential
    return credential


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
