"""A wrong tenant gets 404 on every route: one that is not named here fails the test."""

from collections.abc import Iterator
from typing import Any

from services.memory_api.app import create_app
from services.resources import Resources
from services.settings import MemoryApiSettings
from tests.support.memory_api import CallAs, Caller, Place, add_secrets

Route = tuple[str, str]
# They name nobody: what they show is the caller's own, which tests of their own say.
NAME_NOBODY: set[Route] = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/v1/caller"),
    ("GET", "/v1/rooms"),
    ("GET", "/v1/owners"),
    ("GET", "/v1/backfills"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("GET", "/v1/webhooks"),
    # By the secret in its path, not by a credential.
    ("POST", "/v1/webhooks/mem0/{token}"),
}
# They are about everybody, and for nobody who is bound to somebody.
OF_ALL: dict[Route, list[dict[str, Any]]] = {
    ("GET", "/metrics"): [{}],
    ("GET", "/v1/analytics"): [{}],
    **{("GET", f"/v1/analytics/plots/{{name}}.{kind}"): [{}] for kind in ("svg", "png")},
    ("GET", "/v1/analytics/plots/{name}.png"): [{}],
    ("POST", "/v1/backfills"): [{"json": {"of": "companies"}}, {"json": {"of": "users"}}],
    **{("POST", f"/v1/codec/{one}"): [{"json": {"payloads": []}}] for one in ("encode", "decode")},
}
# What the owner is answered where that is no success: it runs already, and one of a single owner takes no steering.
REFUSED = {
    ("POST", "/v1/backfills"): 409,
    ("POST", "/v1/backfills/{backfill_id}/pause"): 422,
    ("POST", "/v1/backfills/{backfill_id}/resume"): 422,
}
TO_ANA: tuple[dict[str, str], ...] = (
    {"user": "ben"},
    {"user": "nobody"},
    {"user": "boss"},
    {"user": "boss", "company": "acme"},
    {"company": "acme"},
    {"company": "globex"},
)
TO_ACME: tuple[dict[str, str], ...] = (
    {"user": "ben"},
    {"user": "nobody"},
    {"user": "ben", "company": "acme"},
    {"user": "ana", "company": "globex"},
    {"company": "globex"},
)
ANY, VALUE = {"headers": {"If-Match": "*"}}, {"value": "hijacked"}


def attacks(place: Place, home: str) -> dict[Route, list[dict[str, Any]]]:
    """Give what to ask each route for: what is read first, then what is written, then what ends something.

    `home` is a room that whoever asks may see.
    """
    owner, room = place.owner, {"room_id": place.ids["room_id"]}
    kind = "user" if "user_id" in owner else "company"
    of = "/v1/users/{owner_id}" if kind == "user" else "/v1/companies/{owner_id}"
    named, query = {"params": owner}, {"query": "secret"}
    session, moment = "/v1/sessions/{session_id}", "/v1/temporary/{key}"
    hook = {"url": "https://example.org/", "events": ["memory.changed"]}
    return {
        **{("GET", f"/v1/rooms/{{room_id}}/{one}"): [{}] for one in ("messages", "live", "summary")},
        ("GET", "/v1/rooms/{room_id}/messages/{message_id}"): [{}],
        ("POST", "/v1/context"): [{"json": room}, {"json": {"room_id": home, **owner}}],
        ("POST", "/v1/memories/search"): [{"json": query | owner}, {"json": query | room}],
        **{("GET", f"{of}/{one}"): [{}] for one in ("memories", "facts", "preferences", "commands", "storage")},
        ("GET", f"{of}/memories/{{slug}}"): [{}],
        **{("GET", f"{of}/memories/{{slug}}/{one}"): [{}] for one in ("history", "lineage")},
        **{("GET", f"{of}/{one}/{{key}}"): [{}] for one in ("facts", "preferences")},
        ("POST", f"{of}/facts/search"): [{"json": query}],
        **{("GET", f"{of}/{one}"): [{}] for one in ("forget", "export")},
        **{("GET", path): [named] for path in (f"{session}/state", f"{session}/state/{{key}}", moment)},
        ("GET", "/v1/quarantine"): [{"params": room}],
        ("GET", "/v1/backfills/{backfill_id}"): [{}],
        ("POST", "/v1/rooms/{room_id}/messages"): [
            {"json": {"messages": [{"role": "assistant", "content": "hijacked"}]}}
        ],
        ("POST", f"{of}/memories"): [{"json": {"memories": [{"slug": "secret", "content": "hijacked"}]}}],
        ("PUT", f"{of}/memories/{{slug}}"): [{"json": {"content": "hijacked"}, **ANY}],
        **{("PUT", f"{of}/{one}/{{key}}"): [{"json": VALUE}] for one in ("facts", "preferences")},
        ("POST", f"{of}/facts"): [{"json": {"facts": {"secret": "hijacked"}}}],
        ("POST", f"{of}/commands"): [{"json": {"command": "hijacked"}}],
        ("PUT", f"{session}/state/{{key}}"): [{"json": VALUE, **named}],
        ("PUT", moment): [{"json": {**VALUE, "ttl_seconds": 60}, **named}],
        ("POST", "/v1/backfills"): [{"json": {"of": kind, "id": place.ids["owner_id"]}}],
        ("POST", "/v1/webhooks"): [{"json": hook | owner}],
        ("POST", "/v1/webhooks/{webhook_id}/replay"): [{"json": {"since": "2026-01-01T00:00:00Z"}}],
        ("POST", "/v1/quarantine/{item_id}/redrive"): [{}, {"json": {"room_id": home}}],
        ("POST", f"{of}/export"): [{}],
        **{("POST", f"/v1/backfills/{{backfill_id}}/{one}"): [{}] for one in ("pause", "resume", "cancel")},
        **{("DELETE", f"{of}/{one}/{{key}}"): [{}] for one in ("facts", "preferences")},
        ("DELETE", f"{of}/memories/{{slug}}"): [ANY],
        **{("DELETE", path): [named] for path in (f"{session}/state/{{key}}", session, moment)},
        ("DELETE", "/v1/rooms/{room_id}/messages/{message_id}"): [{}],
        ("DELETE", "/v1/keys/{key_id}"): [{}],
        ("DELETE", "/v1/webhooks/{webhook_id}"): [{}],
        ("POST", f"{of}/forget"): [{}],
    }


def requests(place: Place, home: str) -> Iterator[tuple[Route, str, dict[str, Any]]]:
    for (method, path), asked in attacks(place, home).items():
        for request in asked:
            yield (method, path), path.format(**place.ids), request


async def test_a_wrong_tenant_gets_404_on_every_route(call_as: CallAs, service: Caller, resources: Resources) -> None:
    places = await add_secrets(resources, service)
    for place in places:
        # Nobody works there, so that it erases nothing.
        started = await service.post(f"{place.prefix}{place.ids['owner_id']}/forget")
        assert started.status_code == 202
    for place, strangers in zip(places, (TO_ANA, TO_ACME), strict=True):
        for who in strangers:
            stranger = await call_as(**who, scopes=("admin",))
            home = f"user:{who['user']}" if "user" in who else f"room:{who['company']}"
            welcome = {"messages": [{"role": "assistant", "content": "hello"}]}
            assert (await stranger.post(f"/v1/rooms/{home}/messages", json=welcome)).status_code == 202
            for (method, path), at, request in requests(place, home):
                answer = await stranger.request(method, at, **request)
                assert answer.status_code == 404, (who, method, path, answer.text)
                assert "secret" not in answer.text
    # That whoever it belongs to is answered shows that it is there, and that nothing of it was changed.
    for place in places:
        [named] = place.owner.items()
        owner = await call_as(**{named[0].removesuffix("_id"): named[1]}, scopes=("admin",))
        for (method, path), at, request in requests(place, place.ids["room_id"]):
            answer = await owner.request(method, at, **request)
            assert answer.is_success or answer.status_code == REFUSED.get((method, path)), (path, answer.text)
            assert method != "GET" or "hijacked" not in answer.text


async def test_what_is_about_everybody_is_for_nobody_who_is_bound(call_as: CallAs, service: Caller) -> None:
    for who in ({"user": "ana"}, {"company": "acme"}, {"user": "boss", "company": "acme"}):
        caller = await call_as(**who, scopes=("admin",))
        for (method, path), asked in OF_ALL.items():
            for request in asked:
                at = path.format(name="growth")
                assert (await caller.request(method, at, **request)).status_code == 404, (who, path)
    for (method, path), asked in OF_ALL.items():
        for request in asked:
            assert (await service.request(method, path.format(name="growth"), **request)).is_success, path


def test_every_route_is_attacked() -> None:
    document = create_app(MemoryApiSettings(_env_file=None)).openapi()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    ids = {"room_id": "", "owner_id": ""}
    attacked = {*attacks(Place(ids, {"user_id": ""}), ""), *attacks(Place(ids, {"company_id": ""}), "")}
    assert routes == attacked | NAME_NOBODY | set(OF_ALL)


async def test_lists_hold_the_callers_own_alone(call_as: CallAs, service: Caller, resources: Resources) -> None:
    await add_secrets(resources, service)
    ana, ben = await call_as(user="ana", scopes=("admin",)), await call_as(user="ben", scopes=("admin",))
    assert {room["room_id"] for room in (await ana.get("/v1/rooms")).json()["rooms"]} == {"user:ana", "room:acme"}
    assert (await ben.get("/v1/rooms")).json()["rooms"] == []
    assert (await ben.get("/v1/quarantine")).json()["items"] == []
    assert len((await ana.get("/v1/quarantine")).json()["items"]) == 2
    assert (await ben.post("/v1/memories/search", json={"query": "secret"})).json()["hits"] == []
    assert len((await ana.post("/v1/memories/search", json={"query": "secret"})).json()["hits"]) > 0
    assert {key["user_id"] for key in (await ben.get("/v1/keys")).json()["keys"]} == {"ben"}


async def test_a_member_reads_what_is_the_companys_and_does_not_write_it(
    call_as: CallAs, service: Caller, resources: Resources
) -> None:
    await add_secrets(resources, service)
    secret = "/v1/companies/acme/memories/secret"
    member, boss = await call_as(user="ana"), await call_as(user="boss", company="acme")
    assert (await member.get(secret)).status_code == 200
    requests: tuple[dict[str, Any], ...] = ({"json": {"content": "hijacked"}}, {})
    for request in requests:
        method = "PUT" if request else "DELETE"
        refused = await member.request(method, secret, headers={"If-Match": "*"}, **request)
        assert refused.status_code == 403
    assert (await boss.put(secret, json={"content": "said by the boss"}, headers={"If-Match": "*"})).status_code == 200
