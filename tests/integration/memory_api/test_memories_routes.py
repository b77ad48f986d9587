"""Memories through the API: ETags keep two writers apart, and what was said stays readable."""

import asyncio

import pytest

from services.resources import Resources
from tests.support.memory_api import CallAs, Caller, StartApi, archived
from tests.support.openai_server import OpenAIServer, Status

CITY = "/v1/users/42/memories/user_city"
NEW, ANY = {"If-None-Match": "*"}, {"If-Match": "*"}


def lives_in(city: str) -> dict[str, object]:
    return {"content": f"The user lives in {city}.", "metadata": {"city": city}}


async def test_a_memory_is_made_read_changed_and_ended_by_its_etag(service: Caller) -> None:
    made = await service.put(CITY, json=lives_in("Lima"), headers=NEW)
    assert (made.status_code, made.json()["outcome"]) == (201, "created")
    first = made.headers["ETag"]
    read = await service.get(CITY)
    assert (read.headers["ETag"], read.json()) == (first, made.json()["memory"])
    assert (await service.get(CITY, headers={"If-None-Match": first})).status_code == 304
    changed = await service.put(CITY, json=lives_in("Quito"), headers={"If-Match": first})
    assert (changed.status_code, changed.json()["outcome"]) == (200, "updated")
    second = changed.headers["ETag"]
    assert second != first
    for wrong in ({"If-Match": first}, NEW, {"If-Match": f"W/{second}"}, {"If-Match": '"nonsense"'}):
        assert (await service.put(CITY, json=lives_in("Cusco"), headers=wrong)).status_code == 412
    assert (await service.delete(CITY, headers={"If-Match": first})).status_code == 412
    assert (await service.delete(CITY)).status_code == 428
    assert (await service.put(CITY, json=lives_in("Cusco"))).status_code == 428
    assert (await service.get(CITY)).json()["content"] == "The user lives in Quito."
    assert (await service.delete(CITY, headers={"If-Match": second})).status_code == 204
    assert (await service.get(CITY)).status_code == 404
    assert (await service.delete(CITY, headers=ANY)).status_code == 404
    assert (await service.put(CITY, json=lives_in("Cusco"), headers=ANY)).status_code == 412
    history = (await service.get(f"{CITY}/history")).json()["versions"]
    assert [version["content"] for version in history] == ["The user lives in Lima.", "The user lives in Quito.", None]
    assert (await service.put(CITY, json=lives_in("Cusco"), headers=NEW)).status_code == 201


async def test_of_two_writers_who_saw_the_same_one_wins(service: Caller) -> None:
    made = await service.put(CITY, json=lives_in("Lima"), headers=NEW)
    cities = [f"city {number}" for number in range(8)]
    tag = {"If-Match": made.headers["ETag"]}
    answers = await asyncio.gather(*(service.put(CITY, json=lives_in(city), headers=tag) for city in cities))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]
    [won] = [answer for answer in answers if answer.status_code == 200]
    assert (await service.get(CITY)).json() == won.json()["memory"]
    fresh = "/v1/users/42/memories/user_pet"
    answers = await asyncio.gather(*(service.put(fresh, json={"content": city}, headers=NEW) for city in cities))
    assert sorted(answer.status_code for answer in answers) == [201, *[412] * 7]


async def test_of_many_one_that_is_wrong_stops_none_of_the_others(service: Caller) -> None:
    given = [
        {"slug": "user_city", "content": "Lima"},
        {"slug": "Not A Slug", "content": "Lima"},
        {"slug": "user_pet", "content": ""},
        {"slug": "user_name", "content": "Ana", "kind": "nonsense"},
        {"slug": "user_role", "content": "baker"},
    ]
    saved = (await service.post("/v1/users/42/memories", json={"memories": given})).json()
    assert (saved["success"], saved["saved_count"], saved["failed_count"]) == (False, 2, 3)
    assert [result["outcome"] for result in saved["results"]] == ["created", "failed", "failed", "failed", "created"]
    assert [error["slug"] for error in saved["errors"]] == ["Not A Slug", "user_pet", "user_name"]
    again = await service.post("/v1/users/42/memories", json={"memories": given[:1]}, headers={"Idempotency-Key": "k"})
    repeated = await service.post(
        "/v1/users/42/memories", json={"memories": given[:1]}, headers={"Idempotency-Key": "k"}
    )
    assert again.json() == repeated.json()
    assert repeated.headers["Idempotency-Replayed"] == "true"


async def test_memories_are_paged_by_slug(service: Caller) -> None:
    slugs = [f"m{number:02}" for number in range(7)]
    memories = [{"slug": slug, "content": f"about {slug}"} for slug in slugs]
    await service.post("/v1/companies/acme/memories", json={"memories": memories})
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (
            await service.get(
                "/v1/companies/acme/memories", params={"limit": 3, **({"cursor": cursor} if cursor else {})}
            )
        ).json()
        seen += [memory["slug"] for memory in page["memories"]]
        cursor = page["next_cursor"]
    assert seen == slugs
    for nonsense in ("nonsense", "WzFd", "W10", "bnVsbA"):
        refused = await service.get("/v1/companies/acme/memories", params={"cursor": nonsense})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


async def test_a_memory_says_where_it_came_from(service: Caller, call_as: CallAs, resources: Resources) -> None:
    await archived(resources, "user:42", "I live in Lima")
    await service.put(CITY, json=lives_in("Lima"), headers=NEW)
    [origin] = (await service.get(f"{CITY}/lineage")).json()["origins"]
    assert (origin["made_by"], origin["messages"]) == ("caller", [])
    assert (await service.get("/v1/users/42/memories/never/lineage")).status_code == 404
    assert (await service.get("/v1/users/42/memories/never/history")).status_code == 404
    reader = await call_as(user="42", scopes=("read",))
    assert (await reader.get(CITY)).status_code == 200


async def test_without_mem0_saving_says_that_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, service: Caller, start_api: StartApi
) -> None:
    monkeypatch.setenv("MEM0_BACKEND", "")
    bare = await start_api()
    answer = await service.put(f"{bare}{CITY}", json=lives_in("Lima"), headers=NEW)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:afterturn:problem:unavailable")


async def test_what_failed_for_the_moment_may_be_repeated_under_its_key(service: Caller, model: OpenAIServer) -> None:
    body, key = {"memories": [{"slug": "user_city", "content": "Lima"}]}, {"Idempotency-Key": "k"}
    model.refuses = lambda _request: Status(503)
    failed = await service.post("/v1/users/42/memories", json=body, headers=key)
    assert (failed.status_code, failed.json()["errors"][0]["transient"]) == (200, True)
    model.refuses = lambda _request: None
    saved = await service.post("/v1/users/42/memories", json=body, headers=key)
    assert saved.json()["saved_count"] == 1
    assert "Idempotency-Replayed" not in saved.headers


async def test_a_field_that_nobody_knows_is_not_told_by_its_name(service: Caller) -> None:
    wrong = {"slug": "user_city", "content": "Lima", "my password is": "xyzzy"}
    saved = await service.post("/v1/users/42/memories", json={"memories": [wrong]})
    assert saved.json()["errors"][0]["field"] == "memory"
    assert "password" not in saved.text
