"""Quarantine, backfills, forgetting, exports and the deletion of a message."""

import asyncio
import io
import zipfile

from services.operations.backfill_runs import backfill_runs
from services.resources import Resources
from tests.support.memory_api import CallAs, Caller, archived, digested, quarantine, turn


async def test_what_is_in_quarantine_is_listed_and_tried_again(service: Caller, resources: Resources) -> None:
    for number in range(3):
        await quarantine(resources.database, f"room:q{number}")
    first = (await service.get("/v1/quarantine", params={"limit": 2})).json()
    rest = (await service.get("/v1/quarantine", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    items = [*first["items"], *rest["items"]]
    assert [item["room_id"] for item in items] == ["room:q0", "room:q1", "room:q2"]
    assert items[0]["reason"] == "not_json"
    done = (await service.post(f"/v1/quarantine/{items[0]['id']}/redrive")).json()
    assert (done["outcome"], done["detail"]) == ("still_bad", "not_json: message: takes JSON")
    assert "not json" not in (await service.get("/v1/quarantine")).text


async def test_backfills_are_started_watched_and_refused_twice(service: Caller, call_as: CallAs) -> None:
    started = await service.post("/v1/backfills", json={"of": "companies"})
    assert (started.status_code, started.json()["id"]) == (202, "load-all-companies-memories")
    place = started.headers["Location"]
    again = await service.post("/v1/backfills", json={"of": "companies"})
    assert (again.status_code, again.json()["running_id"]) == (409, "load-all-companies-memories")
    boss = await call_as(company="acme", scopes=("admin",))
    assert (await boss.get(place)).status_code == 404
    assert (await boss.post("/v1/backfills", json={"of": "companies"})).status_code == 404
    own = await boss.post("/v1/backfills", json={"of": "company", "id": "acme"})
    assert own.status_code == 202
    assert (await boss.get(own.headers["Location"])).json()["state"] == "running"
    # A member sees it, and may not stop what it may not start.
    member = await call_as(user="ana", scopes=("admin",))
    assert (await member.get(own.headers["Location"])).status_code == 200
    assert (await member.post("/v1/backfills", json={"of": "company", "id": "acme"})).status_code == 403
    assert (await member.post(f"{own.headers['Location']}/cancel")).status_code == 403
    assert (await boss.post(f"{own.headers['Location']}/cancel")).status_code == 200
    # One that is of a single owner takes no steering but that.
    assert (await boss.post(f"{own.headers['Location']}/pause")).status_code == 422
    assert (await service.post(f"{place}/pause")).json()["state"] == "running"
    assert (await service.get("/v1/backfills/load-user-memories:never")).status_code == 404
    for wrong in ({"of": "company"}, {"of": "users", "id": "42"}, {"of": "users", "max_per_second": 5e-324}):
        assert (await service.post("/v1/backfills", json=wrong)).status_code == 422


async def test_the_backfills_are_listed_to_each_its_own(service: Caller, call_as: CallAs, resources: Resources) -> None:
    everyone = (await service.post("/v1/backfills", json={"of": "users"})).json()["id"]
    of_one = {
        id_: (await service.post("/v1/backfills", json={"of": kind, "id": id_})).json()["id"]
        for kind, id_ in (("user", "ana"), ("user", "ben"), ("company", "acme"))
    }
    async with asyncio.timeout(60):
        while len(found := (await service.get("/v1/backfills")).json()["backfills"]) < 4:
            await asyncio.sleep(0.1)
    assert {run["id"] for run in found} == {everyone, *of_one.values()}
    assert {run["state"] for run in found} == {"running"}
    assert found[0]["run_id"] == (await service.get(f"/v1/backfills/{found[0]['id']}")).json()["run_id"]
    assert len((await service.get("/v1/backfills", params={"limit": 1})).json()["backfills"]) == 1

    for whose, seen in (
        ({"user": "ana"}, {"ana"}),
        ({"user": "ben", "company": "acme"}, {"ben", "acme"}),
        ({"company": "acme"}, {"acme"}),
        ({"user": "nobody"}, set()),
    ):
        own = await call_as(**whose, scopes=("admin",))
        listed = (await own.get("/v1/backfills")).json()["backfills"]
        assert {run["id"] for run in listed} == {of_one[id_] for id_ in seen}, whose
    assert (await (await call_as(user="ana", scopes=("read",))).get("/v1/backfills")).status_code == 403
    assert await backfill_runs(resources.temporal, limit=5, ids=["load-user-memories:x' OR 'a'='a"]) == []


async def test_an_owner_is_exported_and_forgotten(service: Caller, resources: Resources) -> None:
    await archived(resources, "user:42", "I live in Lima")
    asked = await service.post("/v1/users/42/export")
    assert asked.status_code == 202
    answer = await service.get(asked.headers["Location"])
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert b"I live in Lima" in archive.read("messages.jsonl")
    assert (await service.get("/v1/users/42/forget")).status_code == 404
    started = await service.post("/v1/users/42/forget")
    assert (started.status_code, started.headers["Location"]) == (202, "/v1/users/42/forget")
    assert (await service.get("/v1/users/42/forget")).json()["state"] == "running"


async def test_a_message_is_deleted_with_what_it_alone_bore_out(
    service: Caller, call_as: CallAs, resources: Resources
) -> None:
    await archived(resources, "user:42", "I live in Lima", "I have a parrot")
    await digested(resources, "user:42", "The user lives in Lima and has a parrot.")
    gone = "/v1/rooms/user:42/messages/m1"
    assert (await service.delete(gone)).status_code == 204
    assert (await service.get(gone)).status_code == 404
    assert (await service.delete(gone)).status_code == 404
    left = (await service.get("/v1/rooms/user:42/messages")).json()["messages"]
    assert [(message["content"], message["state"]) for message in left] == [("I have a parrot", "archived")]
    assert (await service.get("/v1/rooms/user:42/summary")).json()["rolling"] is None
    await service.post("/v1/rooms/user:42/messages", json=turn("just now", id="m9"))
    assert (await service.delete("/v1/rooms/user:42/messages/m9")).status_code == 409


async def test_in_a_companys_room_people_delete_what_they_said(call_as: CallAs, resources: Resources) -> None:
    await archived(resources, "room:acme", "from ana", "also from ana", user_id="ana", company_id="acme")
    await archived(resources, "room:acme", "from boss", user_id="boss", company_id="acme", first=3)
    ana, boss = await call_as(user="ana"), await call_as(user="boss", company="acme")
    assert (await ana.delete("/v1/rooms/room:acme/messages/m3")).status_code == 403
    assert (await ana.delete("/v1/rooms/room:acme/messages/m1")).status_code == 204
    assert (await boss.delete("/v1/rooms/room:acme/messages/m2")).status_code == 204
