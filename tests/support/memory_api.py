"""The memory API on real servers, with two people, two companies, and keys for each."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.domain.credentials import Scope, make_key
from services.domain.memories import owner_of
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.memory_api.app import create_app
from services.postgres.api.keys import ApiKeys, Binding
from services.postgres.archive import summaries
from services.postgres.archive.summaries import Summary
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.resources import Resources
from services.settings import MemoryApiSettings
from tests.support.served import served
from tests.support.tenants import NOON, archive

# ana and boss belong to acme, for which boss speaks; ben belongs to globex.
MEMBERS = (("acme", "ana", "member"), ("acme", "boss", "owner"), ("globex", "ben", "member"))
ALL: tuple[Scope, ...] = ("ingest", "read", "write")
MEM0_TOKEN = "a-token-that-nobody-guesses"
Caller = httpx.AsyncClient
StartApi = Callable[..., Awaitable[str]]
CallAs = Callable[..., Awaitable[Caller]]


@asynccontextmanager
async def running_api(**settings: Any) -> AsyncIterator[str]:
    async with served(create_app(MemoryApiSettings(_env_file=None, **settings))) as url:
        yield url


async def add_members(database: Database) -> None:
    async with database.transaction() as session:
        for company, user, role in MEMBERS:
            ids = {"company": owner_of("company", company).id, "user": owner_of("user", user).id}
            named = ids | {"company_name": company, "user_name": user, "role": role}
            for statement in (
                "insert into companies (id, external_id) values (:company, :company_name) on conflict do nothing",
                "insert into profiles (id, external_id) values (:user, :user_name) on conflict do nothing",
                "insert into company_members (company_id, user_id, role) values (:company, :user, :role)",
            ):
                used = {name: value for name, value in named.items() if f":{name}" in statement}
                await session.execute(text(statement), used)


@pytest.fixture
async def start_api(environment: None) -> AsyncIterator[StartApi]:
    """Serve the API with these settings; it stops after the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> str:
            return await stack.enter_async_context(running_api(**settings))

        yield start


@pytest.fixture
async def api_url(start_api: StartApi, resources: Resources) -> str:
    await add_members(resources.database)
    return await start_api()


@pytest.fixture
async def call_as(api_url: str, resources: Resources) -> AsyncIterator[CallAs]:
    """Give a client with a key of its own: bound to nobody, to `user`, to `company`, or to both."""
    async with AsyncExitStack() as stack:

        async def make(user: str | None = None, company: str | None = None, scopes: tuple[Scope, ...] = ALL) -> Caller:
            key = make_key()
            await ApiKeys(resources.database).add(
                key, name="test", scopes=scopes, binding=Binding(user, company), expires_at=None
            )
            headers = {"Authorization": f"Bearer {key.key}"}
            client = httpx.AsyncClient(base_url=api_url, headers=headers, timeout=30, trust_env=False)
            return await stack.enter_async_context(client)

        yield make


@pytest.fixture
async def service(call_as: CallAs) -> Caller:
    """A client whose key is bound to nobody and may do everything."""
    return await call_as(scopes=("admin",))


def turn(*said: str, **fields: Any) -> dict[str, Any]:
    """Give the body that records these as messages of a user."""
    return {"messages": [{"role": "user", "content": one, **fields} for one in said]}


async def archived(
    resources: Resources, room: str, *said: str, user_id: str = "42", company_id: str | None = None, first: int = 1
) -> None:
    """Archive messages with the ids m1, m2 and so on."""
    messages = [
        NewMessage(f"m{number}", "user", one, user_id, company_id, NOON) for number, one in enumerate(said, first)
    ]
    await archive(resources.database, room, messages)


async def digested(resources: Resources, room: str, summary: str) -> None:
    """Let all that is archived be digested, with this as its summary and the room's."""
    while chunk := await resources.chunks.next_waiting(room):
        made = Summary(summary, "model", chunk.messages[0].seq, chunk.messages[-1].seq, "v1", "toy")
        async with resources.database.transaction() as session:
            await summaries.keep(session, room, chunk.id, {"chunk": made, "rolling": made}, run_id="run")
        await resources.chunks.digested(chunk, run_id="run")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something of ana's or of acme's is: `ids` are what a path names, `owner` names it besides."""

    ids: dict[str, str]
    owner: dict[str, str]

    @property
    def prefix(self) -> str:
        """How the paths of what only such an owner has begin."""
        return "/v1/users/" if "user_id" in self.owner else "/v1/companies/"


async def add_secrets(resources: Resources, service: Caller) -> tuple[Place, Place]:
    """Give ana and acme a room, a summary, a memory and more, each with a secret; answer where it is."""
    ana = await _add_secrets_of(resources, service, "users", {"user_id": "ana"}, "user:ana")
    return ana, await _add_secrets_of(resources, service, "companies", {"company_id": "acme"}, "room:acme")


async def _add_secrets_of(resources: Resources, service: Caller, kind: str, owner: dict[str, str], room: str) -> Place:
    [owner_id] = owner.values()
    said = NewMessage("m1", "user", "the secret", "ana", owner.get("company_id"), NOON)
    await archive(resources.database, room, [said])
    await digested(resources, room, "the secret")
    await quarantine(resources.database, room)
    of, made = f"/v1/{kind}/{owner_id}", {"url": "https://example.org/secret", "events": ["memory.changed"], **owner}
    value = {"value": "the secret"}
    added = [
        await service.post(f"{of}/memories", json={"memories": [{"slug": "secret", "content": "the secret"}]}),
        await service.put(f"{of}/preferences/secret", json=value),
        await service.put(f"{of}/facts/secret", json=value),
        await service.post(f"{of}/commands", json={"command": "the secret"}),
        await service.put("/v1/sessions/s1/state/secret", params=owner, json=value),
        await service.put("/v1/temporary/secret", params=owner, json={**value, "ttl_seconds": 600}),
        await service.post("/v1/backfills", json={"of": next(iter(owner)).removesuffix("_id"), "id": owner_id}),
        await service.post("/v1/keys", json={"name": "secret", "scopes": ["read"], **owner}),
        await service.post("/v1/webhooks", json=made),
    ]
    assert all(answer.is_success for answer in added), [answer.text for answer in added]
    [item] = await resources.quarantine.list_open(room_id=room)
    ids = {
        "room_id": room,
        "message_id": "m1",
        "owner_id": owner_id,
        "slug": "secret",
        "key": "secret",
        "session_id": "s1",
        "item_id": str(item.id),
        "backfill_id": added[-3].json()["id"],
        # Not the one in use: whoever revokes it goes on.
        "key_id": added[-2].json()["id"],
        "webhook_id": added[-1].json()["id"],
        "name": "growth",
        "token": MEM0_TOKEN,
    }
    return Place(ids, owner)


async def quarantine(database: Database, room: str) -> None:
    bad = ClaimedEntry(0, b"not json", Rejected("not_json", "message: takes JSON"))
    await Archive(database).add(room, f"bad {room}", [bad], run_id="run")
