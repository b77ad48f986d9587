from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.domain.extraction.known import KnownMemory
from services.domain.extraction.owners import Rights
from services.domain.memories import NewMemory, Owner, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from services.postgres.memories.known_memories import nearest, rights_in
from services.postgres.vectors.roles import current_table
from services.postgres.vectors.tables import Embeddings, Item
from tests.support.memories_kept import mem0_place, run_sql
from tests.support.openai_server import OpenAIServer

MODEL = "embedding-model"
ANA, BEN, ACME = owner_of("user", "ana"), owner_of("user", "ben"), owner_of("company", "acme")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def model() -> AsyncIterator[ModelClient]:
    async with OpenAIServer() as server, ModelClient.open(server.url) as client:
        yield client


@pytest.fixture
async def store(database_url: str, model: ModelClient) -> AsyncIterator[OpenSourceStore]:
    async with OpenSourceStore.open(database_url, model, MODEL) as opened:
        yield opened


def memory(slug: str, content: str | None, minutes: int = 0) -> NewMemory:
    return NewMemory(slug=slug, content=content, asserted_at=NOON + timedelta(minutes=minutes))


async def known(
    database: Database, owners: Sequence[Owner], messages: Sequence[UUID], limit: int = 12
) -> list[KnownMemory]:
    async with database.transaction() as session:
        vectors = await session.run_sync(current_table)
        return await nearest(session, vectors, owners, messages, limit=limit)


async def rights(database: Database, room_id: str, people: Sequence[Owner]) -> Rights:
    async with database.transaction() as session:
        return await rights_in(session, room_id, people)


async def said(database: Database, model: ModelClient, text: str) -> UUID:
    """Give a message the vector of a text; what is the same text is nearest."""
    uid = uuid4()
    [vector] = await model.embed(model=MODEL, texts=[text], input_type="passage")
    await Embeddings(database, MODEL).save({Item(uid, "message", "room:a"): vector})
    return uid


async def test_the_nearest_of_the_owners_that_are_asked_about_come_first(
    database: Database, model: ModelClient, store: OpenSourceStore
) -> None:
    texts = {"cat": "The user has a cat.", "maps": "The user collects maps.", "tea": "The user drinks tea."}
    for slug, content in texts.items():
        await store.save(ANA, memory(slug, content))
    await store.save(BEN, memory("tea", texts["tea"]))
    await store.save(ACME, memory("hours", "The company opens at nine."))
    await store.save(ANA, memory("boat", "The user has a boat."))
    await store.save(ANA, memory("boat", None, 1))
    messages = [await said(database, model, texts["maps"]), await said(database, model, "Something else.")]

    found = await known(database, [ANA, ACME], messages)
    assert {(one.owner, one.slug) for one in found} == {(ANA, slug) for slug in texts} | {(ACME, "hours")}
    assert (found[0].slug, found[0].content, found[0].kind) == ("maps", texts["maps"], "semantic")
    assert [one.slug for one in await known(database, [ANA, ACME], messages, limit=1)] == ["maps"]
    assert [one.owner for one in await known(database, [BEN], messages)] == [BEN]
    assert len(await known(database, [ANA], [uuid4()])) == 3
    assert await known(database, [], messages) == []


async def test_a_vector_that_is_not_in_mem0s_table_is_found_by_its_version(
    database: Database, model: ModelClient, store: OpenSourceStore
) -> None:
    for slug, content in {"cat": "The user has a cat.", "maps": "The user collects maps."}.items():
        await store.save(ANA, memory(slug, content))
    record = await Brain(database).get_by_user_and_slug(ANA.id, "maps")
    assert record is not None
    await run_sql(database, f"delete from {await mem0_place(database)}")  # noqa: S608
    [vector] = await model.embed(model=MODEL, texts=[record.content], input_type="passage")
    await Embeddings(database, MODEL).save({Item(record.version_id, "memory"): vector})
    found = await known(database, [ANA], [await said(database, model, "Hello.")])
    assert [one.slug for one in found] == ["maps", "cat"]


async def test_without_vectors_nothing_is_known(database: Database) -> None:
    assert await known(database, [ANA], [uuid4()]) == []


async def test_those_speak_for_a_company_who_own_or_run_it(database: Database) -> None:
    message = NewMessage(id="1", role="user", content="Hello", user_id="ana", company_id="acme", sent_at=NOON)
    for room in ("room:acme", "user:ana"):
        await Archive(database).add(room, f"claim-{room}", [ClaimedEntry(0, b"", message)], run_id="run")
    people: list[Owner] = [ANA, BEN, owner_of("user", "eva")]
    for owner, table in [(ACME, "companies"), *((person, "profiles") for person in people)]:
        await run_sql(database, f"insert into {table} (id) values (:id)", id=owner.id)  # noqa: S608
    for person, role in zip(people, ("Admin", "member", "owner"), strict=True):
        insert = "insert into company_members (company_id, user_id, role) values (:company, :person, :role)"
        await run_sql(database, insert, company=ACME.id, person=person.id, role=role)

    found = await rights(database, "room:acme", people[:2])
    assert (found.company, found.may_speak) == (ACME, frozenset({ANA.id}))
    assert await rights(database, "room:acme", [BEN]) == Rights(ACME)
    assert await rights(database, "user:ana", people) == Rights()
    assert await rights(database, "room:unknown", people) == Rights()
