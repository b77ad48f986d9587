"""Webhooks by the API: made, listed, removed and replayed by whom they concern; and Mem0's own, taken as hints."""

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services import temporal
from services.domain.memories import owner_of
from services.resources import Resources
from services.worker.run import serving
from tests.support.memory_api import CallAs, Caller, StartApi
from tests.support.webhook_events import digest
from workflows.names import reconcile_memory_id
from workflows.reconcile_memory import QUIET

URL = "https://example.org/hooks"
EVENTS = ["message.digested", "memory.changed"]
TOKEN = "a-token-that-nobody-guesses"
EPOCH = {"since": "2020-01-01T00:00:00Z"}


async def make(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = await caller.post("/v1/webhooks", json={"url": URL, "events": EVENTS, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def listed(caller: Caller) -> list[str]:
    found = (await caller.get("/v1/webhooks")).json()["webhooks"]
    assert not [one for one in found if "secret" in one]
    return [one["id"] for one in found]


async def test_webhooks_are_made_listed_replayed_and_removed(service: Caller, resources: Resources) -> None:
    made = await make(service, user_id="ana")
    assert made["secret"].startswith("whsec_")
    assert made["owner"] == {"type": "user", "id": str(owner_of("user", "ana").id), "external_id": "ana"}
    assert (made["ended"], made["waiting"]) == (None, 0)
    await digest(resources.database, "user:ana", "m1", user_id="ana")
    [found] = (await service.get("/v1/webhooks")).json()["webhooks"]
    assert (found["id"], found["url"], sorted(found["events"]), found["waiting"]) == (
        made["id"],
        URL,
        sorted(EVENTS),
        1,
    )
    answer = await service.post(f"/v1/webhooks/{made['id']}/replay", json=EPOCH)
    assert (answer.status_code, answer.json()) == (202, {"events": 0})
    assert (await service.delete(f"/v1/webhooks/{made['id']}")).status_code == 204
    assert (await service.delete(f"/v1/webhooks/{made['id']}")).status_code == 404
    assert (await service.post(f"/v1/webhooks/{made['id']}/replay", json=EPOCH)).status_code == 404
    assert await listed(service) == []
    made_now = [(await make(service))["id"] for _ in range(3)]
    first = (await service.get("/v1/webhooks", params={"limit": 2})).json()
    rest = (await service.get("/v1/webhooks", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [one["id"] for one in (*first["webhooks"], *rest["webhooks"])] == made_now
    assert rest["next_cursor"] is None


WRONG: tuple[dict[str, Any], ...] = (
    {"url": "http://example.org/"},
    {"url": "https://127.0.0.1/"},
    {"url": "https://u:p@example.org/"},
    {"url": "https://example.org/\u0000"},
    {"events": []},
    {"events": ["memory.read"]},
    {"user_id": "ana", "company_id": "acme"},
    {"user_id": "ana@example.org"},
    {"secret": "whsec_mine"},
)


async def test_a_wrong_webhook_is_refused(service: Caller) -> None:
    for wrong in WRONG:
        answer = await service.post("/v1/webhooks", json={"url": URL, "events": EVENTS, **wrong})
        assert answer.status_code == 422, wrong
    assert await listed(service) == []


async def test_others_webhooks_are_not_there(call_as: CallAs, service: Caller) -> None:
    ana, acme, boss, ben = [
        await call_as(scopes=("admin",), **bound)
        for bound in ({"user": "ana"}, {"company": "acme"}, {"user": "boss", "company": "acme"}, {"user": "ben"})
    ]
    everybodys, anas, acmes, boss_made = [(await make(caller))["id"] for caller in (service, ana, acme, boss)]
    assert await listed(service) == [everybodys, anas, acmes, boss_made]
    assert await listed(ana) == [anas]
    assert await listed(acme) == await listed(boss) == [acmes, boss_made]
    assert await listed(ben) == []
    for hidden in (everybodys, acmes):
        for caller in (ana, ben):
            assert (await caller.delete(f"/v1/webhooks/{hidden}")).status_code == 404
            assert (await caller.post(f"/v1/webhooks/{hidden}/replay", json=EPOCH)).status_code == 404
    for caller, fields, status in (
        (ana, {"user_id": "ben"}, 404),
        (ana, {"company_id": "globex"}, 404),
        (ana, {"company_id": "acme"}, 403),
        (acme, {"user_id": "ana"}, 404),
    ):
        answer = await caller.post("/v1/webhooks", json={"url": URL, "events": EVENTS, **fields})
        assert answer.status_code == status, fields
    assert len(await listed(service)) == 4


async def test_webhooks_are_for_operators(call_as: CallAs) -> None:
    caller = await call_as()
    path = f"/v1/webhooks/{uuid4()}"
    for answer in (
        await caller.get("/v1/webhooks"),
        await caller.post("/v1/webhooks", json={"url": URL, "events": EVENTS}),
        await caller.delete(path),
        await caller.post(f"{path}/replay", json=EPOCH),
    ):
        assert answer.status_code == 403


class Looking:
    """A store of memories that notes which it was asked to look at."""

    def __init__(self) -> None:
        self.looked: list[str] = []

    async def reconcile_one(self, memory_id: str) -> bool:
        self.looked.append(memory_id)
        return True


def told(memory_id: object, event: str = "UPDATE") -> dict[str, Any]:
    return {"event_details": {"id": memory_id, "event": event, "data": {"memory": "The user said a secret."}}}


@pytest.fixture
async def open_url(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MEM0_WEBHOOK_SECRET", TOKEN)
    return await start_api()


async def test_many_hints_of_mem0_have_a_memory_looked_at_once(open_url: str, resources: Resources) -> None:
    store: Any = Looking()
    client = await temporal.connect()
    async with (
        serving(replace(resources, memory_store=store), client),
        httpx.AsyncClient(base_url=open_url, timeout=30, trust_env=False) as mem0,
    ):
        path = f"/v1/webhooks/mem0/{TOKEN}"
        began = time.monotonic()
        answers = [await mem0.post(path, json=told("memory-1")) for _ in range(20)]
        hinting = time.monotonic() - began
        answers.append(await mem0.post(path, json=told("memory-2", "DELETE")))
        assert {(one.status_code, one.text) for one in answers} == {(202, '{"taken":true}')}
        for memory_id in ("memory-1", "memory-2"):
            await asyncio.wait_for(client.get_workflow_handle(reconcile_memory_id(memory_id)).result(), 60)
        assert sorted(set(store.looked)) == ["memory-1", "memory-2"]
        # Once more for each time that the hints went on for so long.
        assert len(store.looked) <= 4 + hinting / QUIET.total_seconds()
        history = await client.get_workflow_handle(reconcile_memory_id("memory-1")).fetch_history()
        assert "secret" not in history.to_json()


async def test_what_names_no_memory_is_taken_and_ignored(open_url: str) -> None:
    async with httpx.AsyncClient(base_url=open_url, timeout=30, trust_env=False) as mem0:
        for body in (b"", b"{", b"[]", b'{"event_details": []}', b"[" * 100_000, b"\xff"):
            answer = await mem0.post(f"/v1/webhooks/mem0/{TOKEN}", content=body)
            assert (answer.status_code, answer.json()) == (202, {"taken": False})
        for memory_id in (7, None, "", "a/../b", "x" * 101, {"id": "1"}):
            answer = await mem0.post(f"/v1/webhooks/mem0/{TOKEN}", json=told(memory_id))
            assert answer.json() == {"taken": False}
        for token in (TOKEN[:-1], TOKEN + "x", "x", "%C3%A9", "None"):
            assert (await mem0.post(f"/v1/webhooks/mem0/{token}", json=told("memory-1"))).status_code == 404


async def test_where_no_token_is_set_mem0_is_not_listened_to(api_url: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, timeout=30, trust_env=False) as mem0:
        for token in ("None", TOKEN):
            assert (await mem0.post(f"/v1/webhooks/mem0/{token}", json=told("memory-1"))).status_code == 404
