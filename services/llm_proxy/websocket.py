"""`WS /v1/chat/completions`: a request is a text frame, its answer chunk frames and `{"done": true}`.

Requests on one socket are answered one after the other, in their order. What goes wrong is a frame with OpenAI's
`error` and the `status` that a POST would have had; the socket can be used on.
"""

import asyncio
import json
import logging
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import urlsplit

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from starlette.types import Message

from services.http.json_response import AsciiJSONResponse
from services.llm_proxy.caller import Caller
from services.llm_proxy.errors import ProxyError, bad_request, internal, not_json
from services.llm_proxy.gateway import Gateway
from services.llm_proxy.sse import DONE, data_of
from services.llm_proxy.wire import ChatRequest

logger = logging.getLogger(__name__)

_WAITING_FRAMES = 16
_POLICY_VIOLATION = 1008
_FOREIGN = "A web page of another origin may not open this socket."
_TOO_MANY = f"More than {_WAITING_FRAMES} requests are waiting on this socket."


async def converse(socket: WebSocket) -> None:
    """Answer every request of one socket until it closes; closing it cancels what is being answered."""
    if _is_foreign(socket):
        error = ProxyError(403, _FOREIGN, code="foreign_origin")
        await socket.send_denial_response(AsciiJSONResponse(error.body(), error.status))
        return
    await socket.accept()
    frames: asyncio.Queue[Message] = asyncio.Queue(_WAITING_FRAMES)
    answering = asyncio.create_task(_answer_all(socket, frames))
    try:
        is_open = await _receive_into(frames, socket)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    if is_open:
        await socket.close(_POLICY_VIOLATION, _TOO_MANY)


async def _receive_into(frames: asyncio.Queue[Message], socket: WebSocket) -> bool:
    """Fill the queue until the socket is closed; answer whether it is still open, because more frames came than fit."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        if frames.full():
            return True
        frames.put_nowait(message)
    return False


async def _answer_all(socket: WebSocket, frames: asyncio.Queue[Message]) -> None:
    gateway = cast("Gateway", socket.state.gateway)
    caller = Caller.of(socket.headers, socket.state.request_id)
    limit: int = socket.state.settings.llm_proxy_max_body_bytes
    while True:
        try:
            request = _read(await frames.get(), limit)
            async with aclosing(gateway.stream(request, caller)) as events:
                async for event in events:
                    await socket.send_text(_frame(event))
        except ProxyError as error:
            await socket.send_text(_error_frame(error))
        except WebSocketDisconnect:
            return
        except Exception as error:  # noqa: BLE001  a bug must not take the socket with it, nor quote the chat
            logger.error("a request on a socket failed with %s", type(error).__name__)  # noqa: TRY400
            await socket.send_text(_error_frame(internal()))


def _read(message: Message, limit: int) -> ChatRequest:
    text = message.get("text")
    if text is None:
        raise ProxyError(400, "A request is a text frame; this one was binary.", code="binary_frame")
    if len(text) > limit or len(text.encode("utf-8", "replace")) > limit:
        raise ProxyError(413, f"The frame is over {limit} bytes.")
    try:
        # Python's own parser, as for a POST: it reads escaped lone surrogates, which are the upstream's to judge.
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise not_json() from None
    try:
        request = ChatRequest.model_validate(asked)
    except ValidationError as error:
        raise bad_request(error.errors(include_url=False, include_context=False, include_input=False)) from None
    return request.model_copy(update={"stream": True})


def _frame(event: bytes) -> str:
    data = data_of(event)
    return json.dumps({"done": True}) if data == DONE else data.decode("utf-8", "replace")


def _error_frame(error: ProxyError) -> str:
    frame: dict[str, Any] = {**error.body(), "status": error.status}
    if error.retry_after:
        frame["retry_after"] = error.retry_after
    return json.dumps(frame)


def _is_foreign(socket: WebSocket) -> bool:
    """Browsers let any page open a socket to any address, and name the page's origin; other programs name none."""
    origin = socket.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc.lower() != socket.headers.get("Host", "").lower()
