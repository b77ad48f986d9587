import json
import logging
from collections.abc import AsyncGenerator

import pytest
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from services.http.contained import Contained
from services.llm_proxy.answering import EventStream
from services.llm_proxy.sse import data_of, event

SECRET = "the-heron-flies-at-dawn"


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError(f"{scope['type']} {receive}: cannot answer {SECRET}")


async def never() -> Message:
    raise AssertionError("nothing is to be received")


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_bug_is_logged_by_its_type_alone(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    caplog.set_level(logging.DEBUG)
    await Contained(failing)(
        {"type": kind, "path": f"/v1/{SECRET}", "route": Route("/v1/{name}", failing)}, never, send
    )
    assert len(sent) == 1
    assert "/v1/{name} ended with RuntimeError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_start_that_fails_is_the_servers_to_see() -> None:
    async def send(message: Message) -> None:
        assert message["type"] == "http.response.start"

    with pytest.raises(RuntimeError):
        await Contained(failing)({"type": "lifespan"}, never, send)


async def test_a_bug_in_mid_stream_is_the_last_event(caplog: pytest.LogCaptureFixture) -> None:
    is_closed = False

    async def broken() -> AsyncGenerator[bytes, None]:
        nonlocal is_closed
        try:
            yield event(b"{}")
            raise RuntimeError(SECRET)
        finally:
            is_closed = True

    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    events = broken()
    await EventStream(await anext(events), events).stream_response(send)
    bodies = [body for body in sent if body]
    assert bodies[0] == event(b"{}")
    assert json.loads(data_of(bodies[1]))["error"]["code"] == "internal_error"
    assert len(bodies) == 2
    assert is_closed
    assert SECRET not in caplog.text
