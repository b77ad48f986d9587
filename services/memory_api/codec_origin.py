"""Lets the pages of Temporal's UI, and of no other site, ask the codec."""

from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from services.memory_api.routes.codec import PREFIX

_HEADERS = ("Authorization", "Content-Type", "X-Namespace")


class CodecOrigin:
    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app = app
        self._shared = CORSMiddleware(app, allow_origins=[origin], allow_methods=["POST"], allow_headers=_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_codec = scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/")
        await (self._shared if is_codec else self._app)(scope, receive, send)


def install(app: FastAPI, temporal_ui_url: str | None) -> None:
    if temporal_ui_url:
        url = urlsplit(temporal_ui_url)
        app.add_middleware(CodecOrigin, origin=f"{url.scheme}://{url.netloc}")
