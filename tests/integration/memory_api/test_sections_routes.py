"""The section store through the API: whose it is, by which version, under which key."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from services.embedded.ports import free_port
from services.resources import Resources
from tests.support.memory_api import CallAs, Caller, StartApi, add_secrets

ANA, ACME = "/v1/users/ana", "/v1/companies/acme"
THEME = f"{ANA}/preferences/theme"
STEP = "/v1/sessions/s1/state/step"
OF_ANA = {"user_id": "ana"}
NEW = {"If-None-Match": "*"}


async def test_a_value_is_kept_read_changed_and_deleted_by_its_version(service: Caller) -> None:
    assert (await service.get(THEME)).status_code == 404
    assert (await service.put(THEME, json={"value": "x"}, headers={"If-Match": "*"})).status_code == 412
    made = await service.put(THEME, json={"value": {"name": "dark"}}, headers=NEW)
    first = made.headers["ETag"]
    read = await service.get(THEME)
    assert (read.json(), read.headers["ETag"]) == (made.json(), first)
    assert read.json()["value"] == {"name": "dark"}
    assert (await service.get(THEME, headers={"If-None-Match": first})).status_code == 304
    second = (await service.put(THEME, json={"value": None}, headers={"If-Match": first})).headers["ETag"]
    assert (await service.get(THEME, headers={"If-None-Match": first})).json()["value"] is None
    for wrong in ({"If-Match": first}, NEW, {"If-Match": f"W/{second}"}, {"If-Match": '"0"'}, {"If-Match": '"x"'}):
        assert (await service.put(THEME, json={"value": 1}, headers=wrong)).status_code == 412, wrong
    assert (await service.delete(THEME, headers={"If-Match": first})).status_code == 412
    assert (await service.get(THEME)).json()["value"] is None
    assert (await service.put(THEME, json={"value": "any"}, headers={"If-Match": "*"})).status_code == 200
    assert (await service.put(THEME, json={"value": "last"})).status_code == 200
    for _ in range(2):
        assert (await service.delete(THEME)).status_code == 204
    assert (await service.get(THEME)).status_code == 404


async def test_of_writers_who_saw_the_same_one_wins_and_those_who_take_any_all_do(service: Caller) -> None:
    tag = (await service.put(THEME, json={"value": 0})).headers["ETag"]
    answers = await asyncio.gather(
        *(service.put(THEME, json={"value": n}, headers={"If-Match": tag}) for n in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]
    [won] = [answer for answer in answers if answer.status_code == 200]
    assert (await service.get(THEME)).json() == won.json()
    answers = await asyncio.gather(
        *(service.put(THEME, json={"value": n}, headers={"If-Match": "*"}) for n in range(3))
    )
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("key", ["a/b", "/", "..", "a/../../b", "ñ é 😀", "%2F", "search", "?x=1#y"])
async def test_a_key_is_any_printable_text(service: Caller, key: str) -> None:
    places = [(f"{ANA}/preferences", {}), (f"{ANA}/facts", {}), ("/v1/sessions/s1/state", OF_ANA)]
    escaped = quote(key, safe="").replace(".", "%2E")
    for place, params in [*places, ("/v1/temporary", OF_ANA)]:
        body = {"value": key} | ({"ttl_seconds": 60} if "temporary" in place else {})
        assert (await service.put(f"{place}/{escaped}", json=body, params=params)).json()["key"] == key
        assert (await service.get(f"{place}/{escaped}", params=params)).json()["value"] == key
    for place, params in places:
        assert [one["key"] for one in (await service.get(place, params=params)).json()["keys"]] == [key]


@pytest.mark.parametrize("key", ["a\tb", "\x00", "x" * 256, "\u202e"])
async def test_a_key_that_cannot_be_shown_is_refused(service: Caller, key: str) -> None:
    for path in (f"{ANA}/preferences/{quote(key)}", f"/v1/temporary/{quote(key)}?user_id=ana"):
        answer = await service.put(path, json={"value": 1} | ({"ttl_seconds": 1} if "temporary" in path else {}))
        assert (answer.status_code, answer.json()["errors"][0]["field"].split(".")[-1]) == (422, "key")


async def test_namespaces_and_sections_keep_apart_and_keys_are_paged(service: Caller) -> None:
    keys = [f"k{number}" for number in range(7)]
    for key in keys:
        await service.put(f"{ANA}/preferences/{key}", json={"value": key}, params={"namespace": "board"})
    seen: list[str] = []
    params: dict[str, Any] = {"namespace": "board", "prefix": "k", "limit": 3}
    while True:
        page = (await service.get(f"{ANA}/preferences", params=params)).json()
        seen += [one["key"] for one in page["keys"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == keys
    for path in (f"{ANA}/preferences", f"{ANA}/facts", f"{ACME}/preferences", "/v1/users/ben/preferences"):
        assert (await service.get(path)).json()["keys"] == []
    assert (await service.get(f"{ANA}/preferences/k1")).status_code == 404
    assert (await service.get(f"{ANA}/preferences", params={"namespace": "No"})).status_code == 422


async def test_facts_are_stored_all_or_none_and_found(service: Caller) -> None:
    facts = {"invoice_address": "Av. Arequipa 1200, Lima", "plan": {"name": "team"}}
    stored = (await service.post(f"{ANA}/facts", json={"facts": facts})).json()["facts"]
    assert [one["key"] for one in stored] == list(facts)
    plan = await service.get(f"{ANA}/facts/plan")
    assert plan.headers["ETag"] == f'"{stored[1]["version"]}"'
    assert (await service.post(f"{ANA}/facts", json={"facts": {"good": 1, "a\nb": 2}})).status_code == 422
    assert (await service.get(f"{ANA}/facts/good")).status_code == 404
    found = (await service.post(f"{ANA}/facts/search", json={"query": "the address of invoices", "limit": 1})).json()
    assert [(one["key"], one["value"]) for one in found["facts"]] == [("invoice_address", facts["invoice_address"])]
    elsewhere = await service.post(f"{ANA}/facts/search", json={"query": "invoices", "namespace": "board"})
    assert elsewhere.json()["facts"] == []
    assert (await service.put(f"{ANA}/facts/big", json={"value": "x" * 300_000})).json()["errors"][0][
        "field"
    ] == "value"
    sizes = (await service.get(f"{ANA}/storage")).json()["sections"]
    assert {one["section"]: one["values"] for one in sizes if one["values"]} == {"facts": 2}


async def test_commands_are_added_once_and_paged_from_the_newest(service: Caller) -> None:
    for number in range(5):
        added = {"command": {"run": number}, "session_id": "s1" if number % 2 else None, "command_id": str(number)}
        answers = [await service.post(f"{ANA}/commands", json=added) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
    repeated: dict[str, Any] = {"json": {"command": "once"}, "headers": {"Idempotency-Key": "k"}}
    assert (await service.post(f"{ANA}/commands", **repeated)).json() == (
        await service.post(f"{ANA}/commands", **repeated)
    ).json()
    runs, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await service.get(f"{ANA}/commands", params=params)).json()
        runs += [one["command"] for one in page["commands"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert runs == ["once", *({"run": number} for number in (4, 3, 2, 1, 0))]
    of_session = (await service.get(f"{ANA}/commands", params={"session_id": "s1"})).json()["commands"]
    assert [one["command"]["run"] for one in of_session] == [3, 1]
    assert (await service.get("/v1/users/ben/commands")).json()["commands"] == []


async def test_a_session_is_its_callers_own_until_it_ends(service: Caller, call_as: CallAs) -> None:
    ana, ben = await call_as(user="ana"), await call_as(user="ben")
    await ana.put(STEP, json={"value": 1})
    await ana.put("/v1/sessions/s1/state/cart", json={"value": ["tea"]}, params={"shared": True})
    assert (await ana.get(STEP)).json()["value"] == 1
    assert (await service.get(STEP, params=OF_ANA)).json()["value"] == 1
    assert (await ben.get(STEP)).status_code == 404
    assert (await ben.get(STEP, params=OF_ANA)).status_code == 404
    unnamed = await service.get(STEP)
    assert (unnamed.status_code, unnamed.json()["errors"][0]["field"]) == (422, "user_id")
    assert (await service.get(STEP, params={"user_id": "ana", "company_id": "acme"})).status_code == 422
    assert (await ana.get("/v1/sessions/s2/state/cart")).json()["value"] == ["tea"]
    for shared, keys in ((False, ["step"]), (True, ["cart"])):
        page = await ana.get("/v1/sessions/s1/state", params={"shared": shared})
        assert [one["key"] for one in page.json()["keys"]] == keys
    assert (await ana.delete("/v1/sessions/s1")).json() == {"values": 1}
    assert (await ana.get(STEP)).status_code == 404
    assert (await ana.delete("/v1/sessions/s1/state/cart", params={"shared": True})).status_code == 204
    assert (await ana.get("/v1/sessions/s2/state/cart")).status_code == 404


async def test_what_is_temporary_ends(call_as: CallAs) -> None:
    ana = await call_as(user="ana")
    kept = await ana.put("/v1/temporary/code", json={"value": "4711", "ttl_seconds": 600})
    assert kept.json()["expires_at"] > kept.json()["updated_at"]
    assert (await ana.get("/v1/temporary/code")).json()["value"] == "4711"
    await ana.put("/v1/temporary/code", json={"value": "4711", "ttl_seconds": 0.001})
    async with asyncio.timeout(10):
        while (await ana.get("/v1/temporary/code")).status_code == 200:
            await asyncio.sleep(0.01)
    assert (await ana.put("/v1/temporary/code", json={"value": 1, "ttl_seconds": 0})).status_code == 422


async def test_scopes_and_companies_decide_who_writes(service: Caller, call_as: CallAs, resources: Resources) -> None:
    await add_secrets(resources, service)
    reader, member = await call_as(user="ana", scopes=("read",)), await call_as(user="ana")
    boss = await call_as(user="boss", company="acme")
    assert (await reader.get(f"{ANA}/facts/secret")).status_code == 200
    assert (await member.get(f"{ACME}/facts/secret")).status_code == 200
    for method, path, body in (
        ("PUT", "facts/secret", {"value": 1}),
        ("DELETE", "facts/secret", None),
        ("POST", "facts", {"facts": {"secret": 1}}),
        ("POST", "commands", {"command": 1}),
    ):
        assert (await reader.request(method, f"{ANA}/{path}", json=body)).status_code == 403
        assert (await member.request(method, f"{ACME}/{path}", json=body)).status_code == 403
        assert (await boss.request(method, f"{ACME}/{path}", json=body)).is_success
    assert (await reader.put("/v1/temporary/code", json={"value": 1, "ttl_seconds": 1})).status_code == 403


async def test_without_redis_permanent_values_are_there_and_the_rest_says_so(
    monkeypatch: pytest.MonkeyPatch, service: Caller, start_api: StartApi
) -> None:
    await service.put(THEME, json={"value": "dark"})
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    away = await start_api()
    assert (await service.get(f"{away}{THEME}")).json()["value"] == "dark"
    for path in (STEP, "/v1/temporary/code"):
        answer = await service.get(f"{away}{path}", params=OF_ANA)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:afterturn:problem:unavailable")
        assert "Retry-After" in answer.headers
