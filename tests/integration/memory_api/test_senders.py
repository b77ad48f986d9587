"""Promise 9 at the edge: nobody records in another's name or in another's room."""

from typing import Any

from services.resources import Resources
from tests.support.memory_api import CallAs, Caller, turn


async def post(caller: Caller, room: str, **fields: Any) -> int:
    return (await caller.post(f"/v1/rooms/{room}/messages", json=turn("hello", **fields))).status_code


Case = tuple[dict[str, str], str, dict[str, Any], int]
CASES: list[Case] = [
    # A person, in their own room and in another's.
    ({"user": "ana"}, "user:ana", {}, 202),
    ({"user": "ana"}, "user:ana", {"user_id": "ana", "company_id": "acme"}, 202),
    ({"user": "ana"}, "user:ana", {"user_id": "ben"}, 403),
    ({"user": "ana"}, "user:ana", {"company_id": "globex"}, 403),
    ({"user": "ana"}, "user:ben", {}, 404),
    # In a room that is new, in a company's, and in another company's.
    ({"user": "ana"}, "room:new", {}, 202),
    ({"user": "ana"}, "room:new", {"company_id": "acme"}, 202),
    ({"user": "ana"}, "room:new", {"company_id": "globex"}, 403),
    ({"user": "ana"}, "room:acme", {}, 202),
    ({"user": "ana"}, "room:acme", {"company_id": "globex"}, 403),
    ({"user": "ana"}, "room:globex", {}, 404),
    ({"user": "ana"}, "room:globex", {"company_id": "globex"}, 404),
    ({"user": "nobody"}, "room:acme", {}, 404),
    # A person inside one company.
    ({"user": "ana", "company": "acme"}, "room:acme", {}, 202),
    ({"user": "ana", "company": "globex"}, "room:globex", {}, 404),
    ({"user": "ana", "company": "globex"}, "room:new", {}, 403),
    # A company's service.
    ({"company": "acme"}, "room:acme", {"user_id": "ana"}, 202),
    ({"company": "acme"}, "room:acme", {"user_id": "a-customer"}, 202),
    ({"company": "acme"}, "room:acme", {"user_id": "ben"}, 403),
    ({"company": "acme"}, "room:acme", {"user_id": "ana", "company_id": "globex"}, 403),
    ({"company": "acme"}, "room:globex", {"user_id": "ana"}, 404),
    ({"company": "acme"}, "user:ana", {"user_id": "ana"}, 404),
    ({"company": "acme"}, "room:new", {"user_id": "ana"}, 202),
    # A service that is bound to nobody is trusted.
    ({}, "user:ana", {"user_id": "ben"}, 202),
    ({}, "room:acme", {"user_id": "ana", "company_id": "globex"}, 202),
]


async def test_a_sender_is_checked_against_the_credential(call_as: CallAs, resources: Resources) -> None:
    for number, (who, place, fields, status) in enumerate(CASES):
        room = place.replace("new", f"new{number}")
        for company in ("acme", "globex"):
            owner = await call_as(company=company)
            assert (await owner.post(f"/v1/rooms/room:{company}/messages", json=said("welcome"))).status_code == 202
        before = len(await resources.recent.buffered(room))
        assert await post(await call_as(**who), room, **fields) == status, (who, place, fields)
        assert len(await resources.recent.buffered(room)) == before + (status == 202)


def said(content: str) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": content}]}


async def test_what_a_credential_stands_for_is_filled_in(call_as: CallAs, resources: Resources) -> None:
    inside = await call_as(user="ana", company="acme")
    assert await post(inside, "room:sales") == 202
    [message] = await resources.recent.buffered("room:sales")
    assert (message.user_id, message.company_id) == ("ana", "acme")
    assert (await (await call_as(company="acme")).get("/v1/rooms/room:sales/messages")).status_code == 200


async def test_a_room_is_its_first_recorders_even_before_it_is_archived(call_as: CallAs) -> None:
    ana, ben = await call_as(user="ana"), await call_as(user="ben")
    assert await post(ana, "room:private") == 202
    assert await post(ben, "room:private") == 404
    assert (await ben.get("/v1/rooms/room:private/messages")).status_code == 404
    assert (await ana.get("/v1/rooms/room:private/messages")).status_code == 200


async def test_a_room_that_a_trusted_service_began_is_nobody_elses_meanwhile(call_as: CallAs) -> None:
    service, ana, ben = await call_as(), await call_as(user="ana"), await call_as(user="ben")
    assert await post(service, "room:fresh", user_id="ana", company_id="acme") == 202
    # It is in Redis only: nothing in Postgres says yet whose it is.
    assert await post(ben, "room:fresh") == 404
    for path in ("messages", "live", "summary"):
        assert (await ben.get(f"/v1/rooms/room:fresh/{path}")).status_code == 404
    assert await post(ana, "room:fresh") == 202
    assert len((await ana.get("/v1/rooms/room:fresh/messages")).json()["messages"]) == 2
