"""The open-source store on real servers: one memory in the brain and one in Mem0, whatever is saved."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.domain.errors import (
    InvalidInputError,
    MemoryStoreUnavailableError,
    ModelUnavailableError,
    PermanentError,
)
from services.domain.memories import NewMemory, Owner, brain_id, owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from tests.support.memories_kept import MODEL, forget_owner, kept, mem0_place, run_sql
from tests.support.openai_server import EMBEDDINGS, OpenAIServer, Status, hashed_vector

ANA = owner_of("user", "ana.rojas")
ACME = owner_of("company", "acme")
START = datetime(2026, 1, 1, tzinfo=UTC)


def said(content: str | None, *, day: int = 0, slug: str = "user_city", **more: Any) -> NewMemory:
    return NewMemory(slug=slug, content=content, asserted_at=START + timedelta(days=day), **more)


async def vectors_of(database: Database) -> dict[UUID, list[float]]:
    """Give the vectors of past versions, by version, and of what stands, by brain id."""
    async with database.transaction() as session:
        row = (await session.execute(text("select table_name, memory_table from embedding_models"))).one()
        both = f"select id, vector::text from {row.memory_table} union all "  # noqa: S608
        both += f"select item_id, embedding::text from {row.table_name} where kind = 'memory'"  # noqa: S608
        found = (await session.execute(text(both))).all()
    return {id_: [float(number) for number in vector[1:-1].split(",")] for id_, vector in found}


def vector_of(content: str) -> Any:
    return pytest.approx(hashed_vector(content, {"input_type": "passage"}), abs=1e-5)


async def test_a_memory_is_created_updated_and_ended_in_both(store: OpenSourceStore, database: Database) -> None:
    id_ = brain_id(ANA, "user_city")
    created = await store.save(ANA, said("Vive en Lima"))
    assert (created.change, created.memory_id) == ("created", str(id_))
    first = await kept(database)
    assert first.agrees()
    assert first.texts == {id_: "Vive en Lima"}

    updated = await store.save(ANA, said("Vive en Cusco", day=1, metadata={"sure": True}))
    assert (updated.change, updated.memory_id) == ("updated", str(id_))
    second = await kept(database)
    assert second.agrees()
    assert second.texts == {id_: "Vive en Cusco"}
    assert second.mem0[id_]["sure"] is True
    assert second.mem0[id_]["created_at"] == first.mem0[id_]["created_at"]
    assert second.mem0[id_]["updated_at"] > first.mem0[id_]["updated_at"]

    ended = await store.save(ANA, said(None, day=2))
    assert (ended.change, ended.memory_id) == ("ended", None)
    last = await kept(database)
    assert (last.brain, last.mem0, last.intents) == ({}, {}, set())


async def test_each_version_has_one_vector(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima", day=1))
    await store.save(ANA, said("Vive en Cusco", day=2))
    await store.save(ANA, said("Vive en Tacna", day=0))
    versions = {one.content: one.version_id for one in await Brain(database).history(ANA, "user_city")}
    vectors = await vectors_of(database)
    assert vectors == {
        brain_id(ANA, "user_city"): vector_of("Vive en Cusco"),
        versions["Vive en Lima"]: vector_of("Vive en Lima"),
        versions["Vive en Tacna"]: vector_of("Vive en Tacna"),
    }
    await store.save(ANA, said(None, day=3))
    vectors = await vectors_of(database)
    assert brain_id(ANA, "user_city") not in vectors
    assert vectors[versions["Vive en Cusco"]] == vector_of("Vive en Cusco")


async def test_what_stands_between_two_times_of_the_same_keeps_its_vectors(
    store: OpenSourceStore, database: Database
) -> None:
    await store.save(ANA, said("Vive en Lima", day=1))
    await store.save(ANA, said("Vive en Lima", day=9))
    saved = await store.save(ANA, said("Vive en Cusco", day=5))
    assert saved.change == "earlier"
    history = await Brain(database).history(ANA, "user_city")
    assert [one.content for one in history] == ["Vive en Lima", "Vive en Cusco", "Vive en Lima"]
    vectors = await vectors_of(database)
    assert vectors == {
        history[0].version_id: vector_of("Vive en Lima"),
        history[1].version_id: vector_of("Vive en Cusco"),
        brain_id(ANA, "user_city"): vector_of("Vive en Lima"),
    }
    assert (await kept(database)).agrees()


async def test_only_what_changes_is_embedded(store: OpenSourceStore, server: OpenAIServer, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima", day=1))
    await store.save(ANA, said("Vive en Tacna", day=0))
    asked = server.calls[EMBEDDINGS]
    for repeated in (said("Vive en Lima", day=1), said("Vive en Lima", day=2), said("Vive en Tacna", day=0)):
        await store.save(ANA, repeated)
    await store.save(ANA, said("Vive en Lima", day=3, kind="episodic"))
    await store.save(ANA, said(None, day=4))
    await store.save(ANA, said(None, day=4))
    assert server.calls[EMBEDDINGS] == asked == 2


async def test_a_change_of_the_kind_alone_reaches_mem0(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Prefiere el té"))
    await store.save(ANA, said("Prefiere el té", day=1, kind="procedural"))
    (payload,) = (await kept(database)).mem0.values()
    assert payload["kind"] == "procedural"


async def test_a_late_memory_never_overwrites_a_newer_one(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima", day=5))
    assert (await store.save(ANA, said("Vive en Tacna", day=1))).change == "earlier"
    assert (await store.save(ANA, said(None, day=2))).memory_id == str(brain_id(ANA, "user_city"))
    after = await kept(database)
    assert after.agrees()
    assert list(after.brain.values()) == ["Vive en Lima"]


async def test_a_person_and_a_company_may_use_the_same_slug(store: OpenSourceStore, database: Database) -> None:
    for owner in (ANA, ACME, owner_of("user", ACME.id)):
        await store.save(owner, said(f"de {owner}", slug="address"))
    after = await kept(database)
    assert after.agrees()
    assert len(after.brain) == 3


async def test_the_owners_rut_is_mem0s_entity_id(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima"))
    (payload,) = (await kept(database)).mem0.values()
    assert payload["user_id"] == str(ANA.id)
    await run_sql(database, "update profiles set rut = '12.345.678-K' where id = :id", id=ANA.id)
    await store.save(ANA, said("Vive en Lima", day=1))
    (payload,) = (await kept(database)).mem0.values()
    assert payload["user_id"] == "12345678k"
    await run_sql(database, "update profiles set rut = 'twelve' where id = :id", id=ANA.id)
    with pytest.raises(InvalidInputError, match="rut"):
        await store.save(ANA, said("Vive en Lima", day=2))


async def test_a_memory_that_is_gone_from_mem0_is_made_again(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima"))
    await run_sql(database, f"delete from {await mem0_place(database)}")  # noqa: S608
    again = await store.save(ANA, said("Vive en Lima"))
    assert (again.change, again.memory_id) == ("unchanged", str(brain_id(ANA, "user_city")))
    assert (await kept(database)).agrees()
    assert await vectors_of(database) == {brain_id(ANA, "user_city"): vector_of("Vive en Lima")}


async def test_an_older_assertion_makes_again_what_is_gone_from_mem0(
    store: OpenSourceStore, database: Database
) -> None:
    await store.save(ANA, said("Vive en Lima", day=5))
    await run_sql(database, f"delete from {await mem0_place(database)}")  # noqa: S608
    assert (await store.save(ANA, said("Vive en Tacna", day=1))).change == "earlier"
    after = await kept(database)
    assert after.agrees()
    assert list(after.texts.values()) == ["Vive en Lima"]


async def test_a_brain_record_that_is_gone_is_made_again(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima"))
    await run_sql(database, "delete from user_brain")
    assert (await kept(database)).intents == {brain_id(ANA, "user_city")}
    await store.save(ANA, said("Vive en Lima"))
    after = await kept(database)
    assert after.agrees()
    assert len(after.brain) == 1


async def test_a_text_that_mem0_holds_otherwise_is_set_right(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima"))
    place = await mem0_place(database)
    await run_sql(database, f"""update {place} set payload = payload || '{{"data": "Vive en Marte"}}'""")  # noqa: S608
    await store.save(ANA, said("Vive en Lima"))
    assert (await kept(database)).agrees()


async def test_an_owner_that_comes_back_has_memories_again(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima"))
    await forget_owner(database, ANA)
    left = await kept(database)
    assert left.brain == {}
    assert left.intents == {brain_id(ANA, "user_city")}
    saved = await store.save(ANA, said("Vive en Cusco"))
    assert saved.change == "created"
    assert (await kept(database)).agrees()


async def test_another_back_ends_id_gives_way(store: OpenSourceStore, database: Database) -> None:
    await store.save(ANA, said("Vive en Lima"))
    await run_sql(database, "update user_brain set memory_id = 'of-the-platform'")
    await store.save(ANA, said("Vive en Lima"))
    assert (await kept(database)).agrees()


async def test_32_writers_of_one_slug_make_one_memory(
    store: OpenSourceStore, database: Database, database_url: str, model: ModelClient
) -> None:
    async with OpenSourceStore.open(database_url, model, MODEL) as second:
        saved = await asyncio.gather(
            *((store, second)[day % 2].save(ANA, said(f"Vive en {day}", day=day)) for day in range(32))
        )
    assert {one.memory_id for one in saved} == {str(brain_id(ANA, "user_city"))}
    after = await kept(database)
    assert after.agrees()
    assert list(after.texts.values()) == ["Vive en 31"]
    assert len(await Brain(database).history(ANA, "user_city")) == 32
    assert len(await vectors_of(database)) == 32


async def test_stores_that_come_first_at_once_make_one_table(database_url: str, server: OpenAIServer) -> None:
    async def first(number: int) -> None:
        async with (
            ModelClient.open(server.url) as model,
            OpenSourceStore.open(database_url, model, MODEL) as store,
        ):
            await store.save(owner_of("user", f"user-{number}"), said("Vive en Lima"))

    await asyncio.gather(*(first(number) for number in range(6)))
    async with Database.open(database_url) as database:
        after = await kept(database)
        assert after.agrees()
        assert len(after.brain) == 6
        async with database.transaction() as session:
            tables = await session.scalars(
                text("select relname from pg_class where relkind = 'r' and relname ~ 'mem0'")
            )
            assert sorted(tables) == sorted(["mem0_intents", await mem0_place(database)])


async def test_nothing_is_written_while_the_model_is_away(
    store: OpenSourceStore, server: OpenAIServer, database: Database
) -> None:
    server.fault = Status(503, retry_after="7")
    with pytest.raises(ModelUnavailableError) as failure:
        await store.save(ANA, said("Vive en Lima"))
    assert failure.value.retry_after == 7
    after = await kept(database)
    assert (after.brain, after.mem0) == ({}, {})
    assert await Brain(database).history(ANA, "user_city") == []
    server.fault = None
    await store.save(ANA, said("Vive en Lima"))
    assert (await kept(database)).agrees()


async def test_vectors_of_another_length_are_refused(
    store: OpenSourceStore, server: OpenAIServer, database: Database
) -> None:
    await store.save(ANA, said("Vive en Lima"))
    server.embed = lambda text, request: hashed_vector(text, {**request, "dimensions": 5})
    with pytest.raises(ModelUnavailableError, match="5 dimensions"):
        await store.save(ANA, said("Vive en Cusco", day=1))
    after = await kept(database)
    assert after.agrees()
    assert list(after.texts.values()) == ["Vive en Lima"]


async def test_postgres_away_is_an_outage(model: ModelClient) -> None:
    async with OpenSourceStore.open("postgresql://postgres@127.0.0.1:1/nowhere", model, MODEL) as store:
        with pytest.raises(MemoryStoreUnavailableError, match="Postgres"):
            await store.save(ANA, said("Vive en Lima"))


@pytest.mark.parametrize("content", ["Ana's secret \0", "Ana's secret \ud800"])
async def test_what_cannot_be_held_is_refused_without_being_quoted(
    store: OpenSourceStore, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(PermanentError) as failure:
        await store.save(ANA, said(content))
    with pytest.raises(PermanentError):
        await store.save(ANA, said("Vive en Lima", metadata={"note": content}))
    assert "secret" not in str(failure.value)
    assert "secret" not in caplog.text


async def test_a_row_of_mem0_that_its_owner_cannot_see_waits_for_the_reconciliation(
    store: OpenSourceStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await store.save(ANA, said("Ana's secret"))
    place = await mem0_place(database)
    await run_sql(database, f"update {place} set payload = payload - 'owner_id'")  # noqa: S608
    with pytest.raises(MemoryStoreUnavailableError) as failure:
        await store.save(ANA, said("Ana's new secret", day=1))
    assert "secret" not in str(failure.value)
    assert "secret" not in caplog.text
    page = await store.reconcile(None, limit=10)
    assert (page.texts_differ, page.repaired) == (1, 1)
    await store.save(ANA, said("Ana's new secret", day=1))
    assert (await kept(database)).agrees()


async def test_a_cancelled_save_is_done_or_not_done(
    store: OpenSourceStore, database: Database, database_url: str
) -> None:
    """Each is cancelled while Postgres makes it wait for the memory's lock, held here."""
    await store.save(ANA, said("Vive en Lima"))
    id_ = brain_id(ANA, "user_city")
    key = int.from_bytes(id_.bytes[:8], signed=True)
    async with Database.open(database_url) as other, other.transaction() as session:
        await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": key})
        saving = [asyncio.create_task(store.save(ANA, said(f"Vive en {day}", day=day))) for day in range(1, 25)]
        async with database.transaction() as watching:
            waits = text("select count(*) from pg_locks where locktype = 'advisory' and not granted")
            while not await watching.scalar(waits):
                await asyncio.sleep(0.01)
        for task in saving:
            task.cancel()
        results = await asyncio.gather(*saving, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
    saved = await store.save(ANA, said("Vive en Cusco", day=30))
    assert saved.change == "updated"
    after = await kept(database)
    assert after.agrees()
    assert list(after.texts.values()) == ["Vive en Cusco"]


async def test_a_login_that_is_no_superuser_can_save(database_url: str, database: Database, model: ModelClient) -> None:
    name = f"app_{uuid4().hex}"
    async with database.transaction() as session:
        await session.execute(text("reset role"))
        await session.execute(text(f"create role {name} login inherit"))
        await session.execute(text(f"grant afterturn_system, afterturn_tenant to {name}"))
    try:
        login = database_url.replace("postgres@", f"{name}@", 1)
        async with OpenSourceStore.open(login, model, MODEL) as store:
            await store.save(ANA, said("Vive en Lima"))
            await store.save(ANA, said("Vive en Cusco", day=1))
            await store.save(ACME, said("Av. Larco 1", slug="address"))
            await store.save(ACME, said(None, day=1, slug="address"))
            await store.reconcile(None, limit=10)
        assert (await kept(database)).agrees()
    finally:
        async with database.transaction() as session:
            await session.execute(text("reset role"))
            await session.execute(text(f"drop role {name}"))


async def test_the_metadata_of_a_caller_cannot_pass_for_mem0s_own(store: OpenSourceStore, database: Database) -> None:
    sly = {
        "user_id": "someone",
        "agent_id": "a",
        "data": "other",
        "expiration_date": "2020-01-01",
        "owner_id": "b",
        "ok": 1,
    }
    await store.save(ANA, said("Vive en Lima", metadata=sly))
    (payload,) = (await kept(database)).mem0.values()
    assert payload["user_id"] == payload["owner_id"] == str(ANA.id)
    assert payload["data"] == "Vive en Lima"
    assert "agent_id" not in payload
    assert "expiration_date" not in payload
    assert payload["ok"] == 1


async def test_owners_of_one_rut_are_kept_apart(store: OpenSourceStore, database: Database) -> None:
    """A sole trader's RUT is also the business's."""
    trader, business = Owner("user", uuid4()), Owner("company", uuid4())
    for owner in (trader, business):
        await store.save(owner, said("antes", slug="address"))
    for table in ("profiles", "companies"):
        await run_sql(database, f"update {table} set rut = '11.111.111-1'")  # noqa: S608
    for owner in (trader, business):
        await store.save(owner, replace(said("de " + owner.type, slug="address"), asserted_at=datetime.now(UTC)))
    after = await kept(database)
    assert after.agrees()
    assert {payload["user_id"] for payload in after.mem0.values()} == {"111111111"}
    assert after.texts[brain_id(trader, "address")] == "de user"
