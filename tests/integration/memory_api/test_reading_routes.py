"""Rooms, messages, receipts, summaries, searches and contexts."""

import asyncio
import time

from services.domain.context_packing import Strategy
from services.domain.transcripts import estimate_tokens
from services.resources import Resources
from tests.support.memory_api import CallAs, Caller, StartApi, archived, digested, turn


async def test_rooms_are_paged_the_newest_first(service: Caller, resources: Resources) -> None:
    rooms = [f"room:r{number}" for number in range(5)]
    for room in rooms:
        await archived(resources, room, "hello")
    first = (await service.get("/v1/rooms", params={"limit": 3})).json()
    rest = (await service.get("/v1/rooms", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [room["room_id"] for room in [*first["rooms"], *rest["rooms"]]] == rooms[::-1]
    assert rest["next_cursor"] is None


async def test_a_parameter_that_is_given_twice_or_is_empty_is_refused(service: Caller) -> None:
    for query, field in (
        ("limit=nonsense&limit=5", "query"),
        ("cursor=x&cursor=", "query"),
        ("cursor=", "query.cursor"),
    ):
        refused = await service.get(f"/v1/rooms?{query}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field), query


async def test_messages_are_listed_in_order_those_still_buffered_last(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", "one", "two", "three")
    await service.post("/v1/rooms/user:42/messages", json=turn("four", id="m4"))
    # A claim stays in Redis until it is archived: what is in both is listed once.
    await service.post("/v1/rooms/user:42/messages", json=turn("three", id="m3"))
    pages, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await service.get("/v1/rooms/user:42/messages", params=params)).json()
        pages.append([(message["content"], message["state"]) for message in page["messages"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [
        [("one", "archived"), ("two", "archived")],
        [("three", "archived"), ("four", "buffered")],
    ]
    assert (await service.get("/v1/rooms/user:nobody/messages")).status_code == 404


async def test_a_receipt_says_what_became_of_a_message(service: Caller, resources: Resources) -> None:
    await service.post("/v1/rooms/user:42/messages", json=turn("I live in Lima", id="m1"))
    receipt = "/v1/rooms/user:42/messages/m1"
    answer = (await service.get(receipt)).json()
    assert (answer["state"], answer["seq"]) == ("buffered", None)
    began = time.monotonic()
    waiting = asyncio.create_task(service.get(receipt, params={"wait_for": "digested", "wait_seconds": 30}))
    in_vain = await service.get(receipt, params={"wait_for": "archived", "wait_seconds": 0.5})
    assert (in_vain.status_code, in_vain.json()["state"]) == (200, "buffered")
    assert time.monotonic() - began >= 0.5
    await archived(resources, "user:42", "I live in Lima")
    archived_now = (await service.get(receipt)).json()
    assert (archived_now["state"], archived_now["seq"]) == ("archived", 1)
    await digested(resources, "user:42", "The user lives in Lima.")
    assert (await waiting).json()["state"] == "digested"
    assert (await service.get("/v1/rooms/user:42/messages/never")).status_code == 404


async def test_plots_are_drawn_as_pictures(service: Caller) -> None:
    for form, media_type in (("png", "image/png"), ("svg", "image/svg+xml")):
        drawn = await service.get(f"/v1/analytics/plots/growth.{form}")
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, media_type)
        assert drawn.content.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[form])


async def test_where_too_many_wait_the_next_is_answered_at_once(service: Caller, start_api: StartApi) -> None:
    await service.post("/v1/rooms/user:42/messages", json=turn("hello", id="m1"))
    crowded = await start_api(memory_api_max_waiting=0)
    receipt = f"{crowded}/v1/rooms/user:42/messages/m1"
    answer = await service.get(receipt, params={"wait_for": "digested", "wait_seconds": 60}, timeout=20)
    assert answer.json()["state"] == "buffered"


async def test_a_summary_is_given_with_its_parts(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", "I live in Lima")
    assert (await service.get("/v1/rooms/user:42/summary")).json() == {
        "room_id": "user:42",
        "rolling": None,
        "parts": [],
    }
    await digested(resources, "user:42", "The user lives in Lima.")
    summary = (await service.get("/v1/rooms/user:42/summary")).json()
    assert summary["rolling"]["text"] == "The user lives in Lima."
    assert [part["covers_to"] for part in summary["parts"]] == [1]


async def test_a_search_finds_messages_and_memories(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", "I adopted a parrot called Kiwi")
    memories = [{"slug": "user_pet", "content": "The user has a parrot called Kiwi."}]
    await service.post("/v1/users/42/memories", json={"memories": memories})
    found = (await service.post("/v1/memories/search", json={"query": "parrot", "user_id": "42"})).json()
    assert {hit["kind"] for hit in found["hits"]} == {"message", "semantic"}
    [memory] = [hit for hit in found["hits"] if hit["kind"] == "semantic"]
    assert (memory["slug"], memory["owner_type"]) == ("user_pet", "user")
    none = await service.post("/v1/memories/search", json={"query": "parrot", "kinds": ["procedural"]})
    assert none.json()["hits"] == []
    both = await service.post("/v1/memories/search", json={"query": "x", "user_id": "42", "company_id": "acme"})
    assert both.status_code == 422


async def test_a_context_holds_what_is_buffered_and_fits_its_budget(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", *(f"I have lived in Lima for {number} years" for number in range(30)))
    await digested(resources, "user:42", "The user lives in Lima. " * 200)
    memories = [{"slug": f"m{number}", "content": f"The user likes dish {number}."} for number in range(40)]
    await service.post("/v1/users/42/memories", json={"memories": memories})
    await service.post("/v1/rooms/user:42/messages", json=turn("What may I eat today?", id="last"))
    for budget in (64, 200, 1_500):
        context = (await service.post("/v1/context", json={"room_id": "user:42", "token_budget": budget})).json()
        assert estimate_tokens(context["markdown"]) == context["tokens"] <= budget
        assert context["messages"][-1]["id"] == "last"
        assert context["messages"][-1]["is_buffered"]
        assert "What may I eat today?" in context["markdown"]
        for part in (*context["memories"], *context["messages"]):
            assert (part.get("text") or part["content"]) in context["markdown"] or part["is_shortened"]
    assert context["summary"]["is_shortened"]
    assert context["memories"][0].keys() >= {"slug", "version_id", "made_by", "owner_id"}
    assert context["strategy"]["max_memories"] == Strategy().max_memories


async def test_a_memory_repeats_no_message_that_is_shown_and_says_when(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", "One thing: I drink no coffee. Tea is fine.", "Where shall we meet?")
    known = {"user_coffee": "user 42: I drink no coffee.", "user_pet": "user 42: I have a parrot."}
    memories = [
        {"slug": slug, "content": content, "asserted_at": "2026-03-02T12:00:00Z"} for slug, content in known.items()
    ]
    await service.post("/v1/users/42/memories", json={"memories": memories})
    context = (await service.post("/v1/context", json={"room_id": "user:42"})).json()
    assert [memory["slug"] for memory in context["memories"]] == ["user_pet"]
    assert "- user 42: I have a parrot. (2026-03-02)" in context["markdown"]
    last = {"room_id": "user:42", "strategy": {"max_messages": 1}}
    alone = (await service.post("/v1/context", json=last)).json()
    assert {memory["slug"] for memory in alone["memories"]} == set(known)


async def test_a_strategy_is_read_tuned_and_echoed(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", "Where is my parrot?")
    memories = [{"slug": "user_pet", "content": "The user has a parrot."}, {"slug": "user_city", "content": "Lima."}]
    await service.post("/v1/users/42/memories", json={"memories": memories})
    asked = {"room_id": "user:42", "query": "parrot", "strategy": {"messages_share": 0, "max_memories": 1}}
    context = (await service.post("/v1/context", json=asked)).json()
    assert [memory["slug"] for memory in context["memories"]] == ["user_pet"]
    assert context["strategy"]["max_memories"] == 1
    assert context["strategy"]["summary_share"] == Strategy().summary_share
    silent = {"summary_share": 0, "memories_share": 0, "messages_share": 0}
    assert (await service.post("/v1/context", json={"room_id": "user:42", "strategy": silent})).status_code == 422


async def test_what_is_not_to_be_remembered_is_not_shown(service: Caller, call_as: CallAs) -> None:
    await service.post("/v1/rooms/user:42/messages", json=turn("my password is xyzzy", remember=False))
    context = await service.post("/v1/context", json={"room_id": "user:42"})
    assert context.json()["messages"] == []
    markdown = await service.post("/v1/context", json={"room_id": "user:42"}, headers={"Accept": "text/markdown"})
    assert markdown.headers["Content-Type"].startswith("text/markdown")
    newcomer = await call_as(user="newcomer")
    empty = await newcomer.post("/v1/context", json={"room_id": "user:newcomer", "query": "Who am I?"})
    assert (empty.status_code, empty.json()["markdown"]) == (200, "")
