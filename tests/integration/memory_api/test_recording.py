"""Promise 1 through the API: recording takes Redis and nothing else, and may be repeated."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.server import Server
from services.postgres.api.repeated_requests import Mine, RepeatedRequests
from services.postgres.api.sealed_answers import RequestKey
from services.resources import Resources
from tests.support.memory_api import CallAs, Caller, turn

ROOM = "/v1/rooms/user:42/messages"
CANARY = "xylophonecanary"


@asynccontextmanager
async def away(server: Server) -> AsyncIterator[None]:
    await server.stop()
    try:
        yield
    finally:
        await server.start()


async def ids_buffered(resources: Resources, room_id: str = "user:42") -> list[str | None]:
    return [message.id for message in await resources.recent.buffered(room_id)]


async def test_messages_are_acknowledged_with_a_receipt_each(service: Caller, resources: Resources) -> None:
    body = {
        "messages": [
            {"id": "t1:user", "role": "user", "content": "I moved to Lima"},
            {"role": "assistant", "tool_calls": [{"name": "note", "arguments": {"city": "Lima"}}], "remember": False},
        ]
    }
    answer = await service.post(ROOM, json=body)
    assert answer.status_code == 202
    first, second = answer.json()["receipts"]
    assert first == {"message_id": "t1:user", "state": "buffered"}
    [_, stored] = await resources.recent.buffered("user:42")
    assert (stored.id, stored.remember, stored.user_id) == (second["message_id"], False, "42")


async def test_while_postgres_is_away_turns_are_recorded(
    call_as: CallAs, service: Caller, resources: Resources, postgres_server: PostgresServer
) -> None:
    person, company = await call_as(user="ana"), await call_as(company="acme")
    known = "/v1/rooms/room:acme/messages"
    # A credential and a shared room must have been seen once.
    for caller, room in ((service, ROOM), (person, "/v1/rooms/user:ana/messages"), (company, known)):
        assert (await caller.post(room, json=turn("before", user_id="42" if caller is service else "ana"))).is_success
    async with away(postgres_server):
        assert (await service.post("/v1/rooms/room:new/messages", json=turn("hi", user_id="42"))).status_code == 202
        assert (await person.post("/v1/rooms/user:ana/messages", json=turn("hi"))).status_code == 202
        assert (await company.post(known, json=turn("hi", user_id="ana"))).status_code == 202
        # Whose this one is nobody can say now.
        refused = await company.post("/v1/rooms/room:unseen/messages", json=turn("hi", user_id="ana"))
        assert refused.status_code == 503
        assert (await service.get("/v1/rooms")).status_code == 503
        ready = await service.get("/ready")
        assert (ready.status_code, ready.json()["postgres"]) == (200, False)
    assert len(await ids_buffered(resources, "user:ana")) == 2


async def test_while_redis_is_away_it_fails_at_once_and_says_how_to_repeat(
    service: Caller, redis_server: RedisServer, resources: Resources
) -> None:
    async with away(redis_server):
        answer = await service.post(ROOM, json=turn("hello"))
        ready = await service.get("/ready")
    assert (ready.status_code, ready.json()["redis"]) == (503, False)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    [id_] = answer.json()["message_ids"]
    again = await service.post(ROOM, json=turn("hello", id=id_))
    assert again.json()["receipts"] == [{"message_id": id_, "state": "buffered"}]
    assert await ids_buffered(resources) == [id_]


WRONG: list[tuple[Any, int, str | None]] = [
    ({"messages": []}, 422, "body.messages"),
    ({"messages": [{"role": CANARY, "content": CANARY}]}, 422, "body.messages[0].role"),
    ({"messages": [{"role": "user", "content": f"{CANARY}\x00"}]}, 422, "body.messages[0].content"),
    ({"messages": [{"role": "user", "content": "x", "user_id": f"{CANARY}@example.org"}]}, 422, None),
    ({"messages": [{"role": "user", CANARY: "x", "content": "x"}]}, 422, "body.messages[0]"),
    ({"messages": [{"role": "user", "content": "x", "metadata": {CANARY: "\ud800"}}]}, 422, None),
    ({"messages": [{"role": "user", "content": "x", "sent_at": "0001-01-01T00:00:00+14:00"}]}, 422, None),
    ({"messages": [{"role": "user"}]}, 422, "content"),
    ({"messages": [{"role": "user", "content": CANARY}] * 101}, 422, "body.messages"),
    ({"messages": [{"role": "user", "content": "x" * 900_000}] * 10}, 413, None),
    (CANARY, 422, "body"),
]


async def test_what_is_wrong_is_told_by_its_field_and_never_quoted(service: Caller, resources: Resources) -> None:
    for body, status, field in WRONG:
        answer = await service.post(ROOM, content=json.dumps(body), headers={"Content-Type": "application/json"})
        problem = answer.json()
        assert (answer.status_code, problem["status"]) == (status, status), problem
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert problem["request_id"] == answer.headers["X-Request-ID"]
        assert CANARY not in answer.text
        if field:
            assert problem["errors"][0]["field"] == field
    assert await ids_buffered(resources) == []


async def test_a_body_that_is_no_json_is_a_problem_too(service: Caller) -> None:
    answer = await service.post(ROOM, content=f"{{{CANARY}", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:afterturn:problem:bad-request")
    assert CANARY not in answer.text


async def test_a_repeated_request_is_answered_as_it_was(service: Caller, resources: Resources) -> None:
    key = {"Idempotency-Key": f"key-{CANARY}"}
    first = await service.post(ROOM, json=turn(CANARY, id=f"id-{CANARY}"), headers=key)
    again = await service.post(ROOM, json=turn(CANARY, id=f"id-{CANARY}"), headers=key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(await ids_buffered(resources)) == 1
    other = await service.post(ROOM, json=turn("something else"), headers=key)
    assert (other.status_code, len(await ids_buffered(resources))) == (422, 1)
    # Under the same key, another credential's request and another room's are others.
    elsewhere = await service.post("/v1/rooms/user:43/messages", json=turn(CANARY), headers=key)
    assert elsewhere.status_code == 422
    async with resources.database.transaction() as session:
        kept = str((await session.execute(text("select idempotency_keys::text from idempotency_keys"))).all())
    [row] = (await service.get("/v1/keys")).json()["keys"]
    assert not any(said in kept for said in (CANARY, b64encode(CANARY.encode()).decode()[:8], "user:42", row["id"]))


async def test_a_request_under_a_key_that_is_in_use_conflicts(
    call_as: CallAs, service: Caller, resources: Resources
) -> None:
    repeated = RepeatedRequests(resources.database)
    [row] = (await service.get("/v1/keys")).json()["keys"]
    route = RequestKey(f"key:{row['id']}", "POST /v1/rooms/{room_id}/messages", "k")
    request = service.build_request("POST", ROOM, json=turn("once"))
    begun = await repeated.begin(route, f"POST {request.url.path}?\n".encode() + request.content)
    assert isinstance(begun, Mine)
    busy = await service.post(ROOM, json=turn("once"), headers={"Idempotency-Key": "k"})
    assert (busy.status_code, busy.headers["Retry-After"]) == (409, "1")
    await repeated.let_go(route, begun)
    assert (await service.post(ROOM, json=turn("once"), headers={"Idempotency-Key": "k"})).status_code == 202


async def test_a_request_that_failed_may_be_repeated_under_its_key(
    service: Caller, redis_server: RedisServer, resources: Resources
) -> None:
    key = {"Idempotency-Key": "k"}
    async with away(redis_server):
        failed = await service.post(ROOM, json=turn("hello"), headers=key)
    assert failed.status_code == 503
    again = await service.post(ROOM, json=turn("hello"), headers=key)
    assert [one["message_id"] for one in again.json()["receipts"]] == failed.json()["message_ids"]


async def test_while_postgres_is_away_a_repeated_request_is_known_by_its_messages(
    service: Caller, resources: Resources, postgres_server: PostgresServer
) -> None:
    await service.post("/v1/rooms/user:1/messages", json=turn("hello"))
    key = {"Idempotency-Key": "k"}
    async with away(postgres_server):
        answers = [await service.post(ROOM, json=turn("hello"), headers=key) for _ in range(2)]
    assert answers[0].status_code == 202
    assert answers[0].json() == answers[1].json()
