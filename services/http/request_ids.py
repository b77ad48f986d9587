"""`X-Request-ID`: the caller's own or a new one, on every answer, and on every request that is sent on."""

import re
import uuid
from collections.abc import Mapping
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_VALID = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_ANSWERS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
# Set for the task that answers a request, and for the tasks that it starts; read where others are asked in turn.
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request that is being answered; empty where none is."""
    return _current.get()


def named() -> Mapping[str, str]:
    """Name the request that is being answered, for what is logged meanwhile."""
    return {"request_id": request_id} if (request_id := current()) else {}


class RequestIds:
    """Puts the id into `request.state.request_id` too. What is no printable ASCII, or longer than 128, is replaced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _given(Headers(scope=scope)) or str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        token = _current.set(request_id)
        try:
            await self._app(scope, receive, named)
        finally:
            _current.reset(token)


def _given(headers: Headers) -> str | None:
    given = headers.get(HEADER, "")
    return given if _VALID.fullmatch(given) else None
