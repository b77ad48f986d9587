"""How an answer leaves while the caller may go away at any moment."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Send

from services.llm_proxy.errors import ProxyError, internal
from services.llm_proxy.sse import event

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")


async def unless_gone(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do `work`, or cancel it when the caller hangs up: a model must not go on for nobody."""
    working = asyncio.create_task(work)
    hanging_up = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({working, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ProxyError(499, "The caller went away.", code="caller_gone")
        return await working
    finally:
        working.cancel()
        hanging_up.cancel()
        await asyncio.gather(working, hanging_up, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """Server-sent events; a failure becomes the last event, and the source is closed whatever happens."""

    def __init__(self, first: bytes, events: AsyncGenerator[bytes, None]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(_with_failure(first, events), media_type="text/event-stream", headers=headers)
        self._events = events

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._events):
            await super().stream_response(send)


async def _with_failure(first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    try:
        async for one in events:
            yield one
    except ProxyError as error:
        yield event(json.dumps(error.body()).encode())
    except Exception as error:  # noqa: BLE001  the status is sent: a bug can only be the last event
        logger.error("a stream failed with %s", type(error).__name__)  # noqa: TRY400  its text may quote the chat
        yield event(json.dumps(internal().body()).encode())
