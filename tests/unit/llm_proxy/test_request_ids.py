import uuid

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.http import request_ids
from services.http.request_ids import RequestIds


class Application:
    """Remembers which id it saw, and answers."""

    def __init__(self, answer: str = "http.response.start") -> None:
        self.seen: list[str] = []
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"
        self.seen += [scope["state"]["request_id"], request_ids.current()]
        await send({"type": self._answer, "status": 200, "headers": [(b"x-request-id", b"another")]})


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def ask(application: Application, *given: bytes, kind: str = "http") -> str:
    """The id that comes back."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": kind, "path": "/", "headers": [(b"x-request-id", one) for one in given]}
    await RequestIds(application)(scope, nothing, send)
    ids: list[str] = [value.decode() for name, value in sent[0]["headers"] if name.lower() == b"x-request-id"]
    assert len(ids) == 1
    assert application.seen == [ids[0], ids[0]]
    assert request_ids.current() == ""
    return ids[0]


@pytest.mark.parametrize("given", ["1", "turn 17 / try 2", "~" * 128, 'a"b<c>'])
async def test_the_callers_own_id_is_kept(given: str) -> None:
    assert await ask(Application(), given.encode()) == given


@pytest.mark.parametrize(
    "given", [b"", b" ", b"x" * 129, b"caf\xe9", b"a\tb", b"a\x7f", b"a\r\nSet-Cookie: b", b"\xff"]
)
async def test_what_is_no_id_is_replaced(given: bytes) -> None:
    assert uuid.UUID(await ask(Application(), given)).version == 4


async def test_without_one_each_request_gets_its_own() -> None:
    assert await ask(Application()) != await ask(Application())


@pytest.mark.parametrize("answer", ["websocket.accept", "websocket.http.response.start"])
async def test_a_socket_has_one_too(answer: str) -> None:
    assert await ask(Application(answer), b"turn-17", kind="websocket") == "turn-17"
