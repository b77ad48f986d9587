"""The client's side of the memory API, with a server that answers what each test writes down."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from afterturn_client.errors import (
    ApiRefusedError,
    ApiUnavailableError,
    ClientError,
    CredentialRefusedError,
    InvalidFieldError,
    NoApiError,
    NotFoundError,
    NotReachedYetError,
    RecordingFailedError,
)
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message
from afterturn_client.receipts import TurnReceipt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.embedded.ports import free_port
from services.http.body_limit import BodyLimit
from services.settings import MemoryApiSettings
from tests.support.api_stand_in import Answer, ApiStandIn
from tests.support.main_job import RECORD_SECONDS
from tests.support.served import served

SECRET = "my-secret-words"
CONTEXT = Answer(body={"room_id": "user:42", "markdown": "## Memory", "tokens": 3, "a_new_field": [1]})
Call = Callable[[MemoryClient], Awaitable[object]]
CALLS: dict[str, Call] = {
    "context": lambda memory: memory.context("user:42", query=SECRET),
    "search": lambda memory: memory.search(SECRET),
    "memories": lambda memory: memory.memories(user_id="42"),
    "record": lambda memory: memory.record_turn("user:42", user=SECRET, turn_id="t1"),
}


def problem(status: int, title: str = "Forbidden", **headers: str) -> Answer:
    body = {"type": "about:blank", "title": title, "status": status, "detail": SECRET}
    return Answer(status, body, {"Content-Type": "application/problem+json", **headers})


async def test_a_turn_is_recorded_over_the_api_without_redis_or_temporal() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    async with (
        ApiStandIn(Answer(202)) as api,
        MemoryClient.connect(api_url=api.url + "/", api_key="key", seconds=RECORD_SECONDS) as memory,
    ):
        receipt = await memory.record_turn(
            "user:42", user="Hello", assistant="", tool_calls=[{"a": 1}], turn_id="t1", sent_at=moment
        )
        assert memory.waker is None
    [request] = api.requests
    assert (request.method, request.path) == ("POST", "/v1/rooms/user:42/messages")
    assert request.headers["authorization"] == "Bearer key"
    assert [Message.model_validate(message) for message in request.body["messages"]] == [
        Message(id="t1:user", role="user", content="Hello", user_id="42", sent_at=moment),
        Message(id="t1:assistant", role="assistant", content="", tool_calls=({"a": 1},), user_id="42", sent_at=moment),
    ]
    assert receipt.message_ids == ("t1:user", "t1:assistant")


async def test_recording_tries_again_with_the_same_ids_and_then_hands_back() -> None:
    async with (
        ApiStandIn(Answer(0), problem(503, "Redis"), Answer(202), otherwise=problem(503)) as api,
        MemoryClient.connect(api_url=api.url, seconds=30) as patient,
        MemoryClient.connect(api_url=api.url, seconds=0.5) as memory,
    ):
        await patient.record_turn("user:42", user=SECRET)
        assert len(api.requests) == 3
        assert len({str(request.body) for request in api.requests}) == 1
        with pytest.raises(RecordingFailedError) as caught:
            await memory.record_turn("user:42", user=SECRET, turn_id="t2")
    assert [message.id for message in caught.value.messages] == ["t2:user"]
    assert SECRET not in f"{caught.value!r}"


async def test_recording_ends_in_time_where_the_api_says_nothing() -> None:
    async with (
        ApiStandIn(otherwise=Answer(hangs=True)) as api,
        MemoryClient.connect(api_url=api.url, seconds=0.3) as memory,
    ):
        with pytest.raises(RecordingFailedError, match="TimeoutError") as caught:
            await memory.record_turn("user:42", user=SECRET, turn_id="t2")
    assert [message.id for message in caught.value.messages] == ["t2:user"]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(401), CredentialRefusedError),
        (problem(403), CredentialRefusedError),
        (problem(404, "Not found"), NotFoundError),
        (problem(422, "Wrong"), ApiRefusedError),
        (Answer(400, b"<html>"), ApiRefusedError),
        (Answer(413, [1]), ApiRefusedError),
    ],
)
async def test_what_the_api_refuses_is_not_tried_again(call: Call, answer: Answer, error: type[ClientError]) -> None:
    async with (
        ApiStandIn(otherwise=answer) as api,
        MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory,
    ):
        with pytest.raises(error) as caught:
            await call(memory)
        assert len(api.requests) == 1
    assert isinstance(caught.value, ApiRefusedError)
    assert caught.value.status == answer.status
    assert SECRET not in f"{caught.value!r}"


AN_INGRESS_WITHOUT_API = Answer(404, b"<html>", {"Content-Type": "text/html"})
OUTAGES = [Answer(0), *map(problem, (429, 500, 502, 503, 504)), AN_INGRESS_WITHOUT_API]


@pytest.mark.parametrize("answer", OUTAGES)
async def test_an_outage_of_the_api_is_waited_out(answer: Answer) -> None:
    async with (
        ApiStandIn(answer, answer, CONTEXT) as api,
        MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory,
    ):
        context = await memory.context("user:42", query="Where?", token_budget=900)
    assert context.markdown == "## Memory"
    assert [request.body for request in api.requests] == [
        {"room_id": "user:42", "query": "Where?", "token_budget": 900}
    ] * 3


async def test_a_longer_outage_is_said_with_what_the_api_asks_for() -> None:
    async with (
        ApiStandIn(otherwise=problem(503, **{"Retry-After": "60"})) as api,
        MemoryClient.connect(api_url=api.url, api_seconds=30) as memory,
    ):
        with pytest.raises(ApiUnavailableError) as caught:
            await memory.search("a")
        assert len(api.requests) == 1
    assert (caught.value.status, caught.value.retry_after) == (503, 60)


async def test_an_api_that_is_down_or_speaks_nonsense_is_unavailable() -> None:
    async with MemoryClient.connect(api_url=f"http://127.0.0.1:{free_port()}", api_seconds=0.2) as memory:
        with pytest.raises(ApiUnavailableError):
            await memory.context("user:42")
    async with (
        ApiStandIn(otherwise=Answer(200, b'{"text": "' + SECRET.encode())) as api,
        MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory,
    ):
        with pytest.raises(ApiUnavailableError, match="another shape") as caught:
            await memory.context("user:42")
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda memory: memory.context("42"),
        lambda memory: memory.context("user:../admin"),
        lambda memory: memory.memories(user_id="../../keys"),
        lambda memory: memory.memories(),
        lambda memory: memory.memories(user_id="1", company_id="2"),
    ],
)
async def test_a_wrong_id_reaches_no_server(wrong: Call) -> None:
    async with ApiStandIn() as api, MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory:
        with pytest.raises(InvalidFieldError):
            await wrong(memory)
        assert api.requests == []


def status(one: str, state: str) -> Answer:
    return Answer(body={"message_id": one, "state": state})


async def test_a_receipt_waits_until_every_message_has_come_so_far() -> None:
    answers = [
        Answer(202),
        status("t1:user", "buffered"),
        status("t1:user", "archived"),
        status("t1:user", "digested"),
        status("t1:assistant", "quarantined"),
    ]
    async with ApiStandIn(*answers) as api, MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory:
        receipt = await memory.record_turn("user:42", user="a", assistant="b", turn_id="t1")
        statuses = await receipt.wait("digested", seconds=30)
    assert [(one.message_id, one.state) for one in statuses] == [
        ("t1:user", "digested"),
        ("t1:assistant", "quarantined"),
    ]
    assert api.requests[1].path.startswith("/v1/rooms/user:42/messages/t1:user?wait_for=digested&wait_seconds=")


async def test_a_receipt_says_how_far_messages_came_when_time_is_up() -> None:
    async with (
        ApiStandIn(Answer(202), otherwise=status("t1:user", "archived")) as api,
        MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory,
    ):
        receipt = await memory.record_turn("user:42", user="a", turn_id="t1")
        assert [one.state for one in await receipt.wait("archived", seconds=30)] == ["archived"]
        with pytest.raises(NotReachedYetError, match="1 archived") as caught:
            await receipt.wait("digested", seconds=0.1)
    assert caught.value.states == {"t1:user": "archived"}


async def until_recorded(memory: MemoryClient) -> TurnReceipt:
    """Record a turn, as often as it takes to connect in the time that a call has."""
    while True:
        with suppress(RecordingFailedError):
            return await memory.record_turn("user:42", user="a", turn_id="t1")


async def test_a_receipt_waits_out_an_outage_that_is_longer_than_a_request_may_take() -> None:
    away = problem(503, **{"Retry-After": "0.05"})
    answers = [Answer(202), *(5 * [away]), status("t1:user", "digested")]
    async with (
        ApiStandIn(*answers) as api,
        MemoryClient.connect(api_url=api.url, seconds=30, api_seconds=0.01) as memory,
    ):
        receipt = await until_recorded(memory)
        assert [one.state for one in await receipt.wait(seconds=30)] == ["digested"]
    async with (
        ApiStandIn(Answer(202), otherwise=away) as api,
        MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory,
    ):
        receipt = await memory.record_turn("user:42", user="a", turn_id="t1")
        with pytest.raises(ApiUnavailableError):
            await receipt.wait(seconds=0.2)


async def test_without_an_api_reading_says_what_is_missing(redis_url: str) -> None:
    async with MemoryClient.connect(redis_url, "127.0.0.1:1", seconds=RECORD_SECONDS, close_grace_seconds=0) as memory:
        receipt = await memory.record_turn("user:42", user="a")
        calls: list[Awaitable[Any]] = [memory.context("user:42"), memory.search("a"), receipt.wait()]
        for call in calls:
            with pytest.raises(NoApiError, match="api_url"):
                await call


async def test_no_content_and_no_key_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        ApiStandIn(problem(503), CONTEXT, problem(401)) as api,
        MemoryClient.connect(api_url=api.url, api_key="key-words", seconds=RECORD_SECONDS) as memory,
    ):
        await memory.context("user:42", query=SECRET)
        with pytest.raises(CredentialRefusedError):
            await memory.record_turn("user:42", user=SECRET)
    assert SECRET not in caplog.text
    assert "key-words" not in caplog.text


async def test_the_environment_names_the_servers(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    async with ApiStandIn(otherwise=CONTEXT) as api:
        monkeypatch.setenv("REDIS_URL", redis_url)
        monkeypatch.setenv("AFTERTURN_API_URL", api.url)
        monkeypatch.setenv("AFTERTURN_API_KEY", "from-the-environment")
        async with MemoryClient.connect(
            temporal_address="127.0.0.1:1", seconds=RECORD_SECONDS, close_grace_seconds=0
        ) as memory:
            await memory.record_turn("user:42", user="over Redis")
            assert api.requests == []
            await memory.context("user:42")
            assert api.requests[0].headers["authorization"] == "Bearer from-the-environment"
        async with MemoryClient.connect(api_url=api.url, seconds=RECORD_SECONDS) as memory:
            await memory.record_turn("user:42", user="over the API, for REDIS_URL may be the caller's own")
            assert len(api.requests) == 2


async def test_what_waited_goes_out_in_requests_of_a_size_that_the_api_takes() -> None:
    is_down = True
    taken: list[str] = []

    async def record(request: Request) -> Response:
        if is_down:
            return Response(status_code=503, headers={"Retry-After": "60"})
        taken.extend(message["id"] for message in (await request.json())["messages"])
        return Response(status_code=202)

    app = Starlette(routes=[Route("/v1/rooms/{room_id}/messages", record, methods=["POST"])])
    app.add_middleware(BodyLimit, limit=MemoryApiSettings().memory_api_max_body_bytes)
    ids = [str(number) for number in range(100)]
    async with (
        served(app) as url,
        MemoryClient.connect(
            api_url=url, queue_in_outage=100, seconds=RECORD_SECONDS, close_grace_seconds=60
        ) as memory,
    ):
        receipt = await memory.record("user:42", [Message(id=id_, role="user", content="é" * 50_000) for id_ in ids])
        assert receipt.state == "queued"
        is_down = False
    assert taken == ids
