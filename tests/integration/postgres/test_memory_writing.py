"""One slug, one brain record, and a history that does not depend on what was learned when."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.domain.errors import InvalidInputError, OwnerUnknownError, TransientError
from services.domain.histories import assertion_of, versions
from services.domain.ids import message_uid
from services.domain.memories import Change, Kind, NewMemory, Owner, brain_id, entity_id, owner_of
from services.postgres.database import Database, Tenant
from services.postgres.memories.brain import Brain, MemoryRecord
from services.postgres.memories.writing import Placed, know_owner, lock, preview, record
from services.postgres.vectors.tables import Embeddings, Item
from tests.support.tenants import ACME, ANA, BEN, archive, room_of, said_by

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIMA, CUSCO = "lives in Lima", "lives in Cusco"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


def city(content: str | None, hour: int = 0, *sources: UUID, kind: Kind = "semantic") -> NewMemory:
    return NewMemory("city", content, NOON + timedelta(hours=hour), kind, sources=sources, run_id="run")


async def save(database: Database, owner: Owner, memory: NewMemory, tenant: Tenant | None = None) -> Placed:
    async with database.transaction(tenant) as session:
        await session.run_sync(know_owner, owner)
        await session.run_sync(lock, brain_id(owner, memory.slug))
        foreseen = await session.run_sync(preview, owner, memory)
        placed = await session.run_sync(_record, owner, memory)
    assert foreseen == placed
    return placed


def _record(session: Session, owner: Owner, memory: NewMemory) -> Placed:
    return record(session, owner, memory, memory_id=f"mem0-{brain_id(owner, memory.slug)}")


async def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Read all that a repeated call must leave as it was, transaction ids included."""
    async with database.transaction() as session:
        return {
            table: [
                tuple(row)
                for row in await session.execute(text(f"select xmin::text, t.* from {table} t order by 2"))  # noqa: S608
            ]
            for table in ("user_brain", "company_brain", "memory_versions", "memory_sources", "mem0_intents")
        }


async def count(database: Database, table: str) -> int:
    async with database.transaction() as session:
        return int((await session.execute(text(f"select count(*) from {table}"))).scalar_one())  # noqa: S608


async def test_a_memory_changes_ends_and_begins_again(database: Database) -> None:
    brain = Brain(database)
    steps: list[tuple[str | None, Change]] = [
        (LIMA, "created"),
        (LIMA, "unchanged"),
        (CUSCO, "updated"),
        (None, "ended"),
        (None, "unchanged"),
        (LIMA, "created"),
    ]
    for hour, (content, change) in enumerate(steps):
        placed = await save(database, ANA, city(content, hour))
        assert placed.change == change
        found = await brain.get_by_user_and_slug("ana", "city")
        assert (found and found.content) == content
        assert (placed.standing and placed.standing.content) == content
        assert await count(database, "user_brain") == (content is not None)
    history = await brain.history(ANA, "city")
    assert [(version.content, version.valid_from.hour - 12) for version in history] == [
        (LIMA, 0),
        (CUSCO, 2),
        (None, 3),
        (LIMA, 5),
    ]
    assert [version.valid_to for version in history[:-1]] == [version.valid_from for version in history[1:]]
    assert history[-1].valid_to is None


@pytest.mark.parametrize("seed", range(6))
async def test_the_order_of_learning_plays_no_part(database: Database, seed: int) -> None:
    """Whatever was learned first or twice, what is written is what follows from all that was said."""
    dice = random.Random(seed)
    kinds: list[Kind] = ["semantic", "episodic"]
    said = [
        city(dice.choice([LIMA, CUSCO, None]), dice.randint(0, 6), kind=dice.choice(kinds))
        for _ in range(dice.randint(3, 9))
    ]
    for owner in (ANA, ACME):
        order = [*said, *dice.choices(said, k=3)]
        dice.shuffle(order)
        for memory in order:
            await save(database, owner, memory)
        expected = expected_history(owner, said)
        history = await Brain(database).history(owner, "city")
        assert [version.version_id for version in history] == expected
        (found,) = [*await standing(database, owner), None][:1]
        assert (found and found.content) == history[-1].content
        assert (found and found.version_id) == (expected[-1] if history[-1].content else None)


def expected_history(owner: Owner, said: Sequence[NewMemory]) -> list[UUID]:
    brain = brain_id(owner, "city")
    return [run[0].id for run in versions({assertion_of(brain, memory) for memory in said})]


async def standing(database: Database, owner: Owner) -> list[MemoryRecord]:
    read = Brain(database).get_all_by_user if owner.type == "user" else Brain(database).get_all_by_company
    return await read(owner.id)


async def test_a_late_import_never_overwrites_what_was_confirmed_later(database: Database) -> None:
    for content, hour in ((LIMA, 1), (LIMA, 3)):
        await save(database, ANA, city(content, hour))
    placed = await save(database, ANA, city(CUSCO, 2))
    assert placed.change == "earlier"
    assert placed.standing
    assert (placed.standing.content, placed.standing.asserted_at.hour) == (LIMA, 15)
    history = await Brain(database).history(ANA, "city")
    assert [version.content for version in history] == [LIMA, CUSCO, LIMA]
    assert placed.superseded == history[0].version_id


async def test_the_same_words_with_other_metadata_are_a_change(database: Database) -> None:
    weights: list[dict[str, object]] = [{"weight": 1.0, "tags": ["a", {"b": 1e2}]}, {}, {"weight": 1}]
    for hour, metadata in enumerate(weights):
        for _ in range(2):
            placed = await save(database, ANA, replace(city(LIMA, hour), metadata=metadata))
        assert placed.change == "unchanged"
    again = await save(database, ANA, replace(city(LIMA, 5), metadata={"weight": 1.0}))
    assert again.change == "unchanged"
    history = await Brain(database).history(ANA, "city")
    assert [version.metadata for version in history] == weights
    record = await Brain(database).get_by_user_and_slug(ANA.id, "city")
    assert record is not None
    assert record.metadata == {"weight": 1}


async def test_words_that_get_another_version_keep_their_vectors(database: Database) -> None:
    """A version that is moved back, or continues after a late import, is not embedded again."""
    embeddings = Embeddings(database, "toy")
    first = await save(database, ANA, city(LIMA, 3))
    await embeddings.save({Item(first.version_id, "memory"): [1.0, 0.0]})
    moved = await save(database, ANA, city(LIMA, 1))
    assert (moved.change, moved.version_id != first.version_id) == ("unchanged", True)
    assert await embeddings.missing([Item(moved.version_id, "memory")]) == []
    between = await save(database, ANA, city(CUSCO, 2))
    assert between.standing
    assert between.standing.version_id == first.version_id
    items = [Item(version.version_id, "memory") for version in await Brain(database).history(ANA, "city")]
    assert await embeddings.missing(items) == [items[1]]


@pytest.mark.parametrize("owner", [ANA, ACME], ids=str)
@pytest.mark.parametrize("contents", [[LIMA], [LIMA, CUSCO], [LIMA, None], [LIMA, CUSCO, LIMA, LIMA]])
async def test_a_repeated_call_changes_nothing(database: Database, owner: Owner, contents: list[str | None]) -> None:
    await archive(database, room_of(owner), said_by(owner))
    source = message_uid(room_of(owner), "m1")
    memories = [city(content, hour, source) for hour, content in enumerate(contents)]
    for memory in memories:
        await save(database, owner, memory)
    before = await everything(database)
    for memory in [*memories, *reversed(memories)]:
        assert (await save(database, owner, memory)).change in ("unchanged", "earlier")
    assert await everything(database) == before


async def test_writers_at_once_make_one_memory(database: Database) -> None:
    memories = [city(f"lives in place {number % 8}", number // 2) for number in range(32)]
    random.Random(3).shuffle(memories)

    async def write(memory: NewMemory) -> None:
        async with database.transaction() as session:
            await session.run_sync(know_owner, ANA)
            await session.run_sync(_record, ANA, memory)

    await asyncio.gather(*(write(memory) for memory in memories))
    found = await Brain(database).get_all_by_user("ana")
    assert [(memory.slug, memory.content) for memory in found] == [("city", found[0].content)]
    assert found[0].asserted_at == NOON + timedelta(hours=15)
    history = await Brain(database).history(ANA, "city")
    assert [version.version_id for version in history] == expected_history(ANA, memories)


@pytest.mark.parametrize("owner", [ANA, ACME], ids=str)
async def test_an_owner_may_write_for_itself_and_nobody_else_for_it(database: Database, owner: Owner) -> None:
    await archive(database, room_of(BEN), said_by(BEN))
    memory = city(LIMA, 0, message_uid(room_of(BEN), "m1"))
    assert (await save(database, owner, memory, Tenant.of(owner))).change == "created"
    assert (await save(database, owner, city(None, 1), Tenant.of(owner))).change == "ended"
    with pytest.raises(TransientError, match="42501"):
        await save(database, owner, memory, Tenant.of(BEN))
    # The message is another's: it is kept as the source, and not shown.
    (origin, _) = await Brain(database).lineage(owner, "city", tenant=Tenant.of(owner))
    assert origin.messages == ()
    (origin, _) = await Brain(database).lineage(owner, "city")
    assert [message.content for message in origin.messages] == [f"the secret of {BEN}"]


async def test_every_memory_says_where_it_came_from_and_every_message_what_came_of_it(database: Database) -> None:
    for owner in (ANA, BEN):
        await archive(database, room_of(owner), said_by(owner))
    one, two = (message_uid(room_of(owner), "m1") for owner in (ANA, BEN))
    for content, hour, source in ((LIMA, 0, one), (LIMA, 2, two), (CUSCO, 1, two)):
        await save(database, ANA, city(content, hour, source))
    brain = Brain(database)
    assert [version.sources for version in await brain.history(ANA, "city")] == [(one,), (two,), (two,)]
    lineage = await brain.lineage(ANA, "city")
    assert [(origin.content, origin.run_id, origin.messages[0].speaker) for origin in lineage] == [
        (LIMA, "run", "user ana"),
        (CUSCO, "run", "user ben"),
        (LIMA, "run", "user ben"),
    ]
    derived = await brain.memories_of_message(two)
    assert [(memory.content, memory.is_current, memory.owner.id) for memory in derived] == [
        (CUSCO, False, ANA.id),
        (LIMA, True, ANA.id),
    ]
    assert await brain.memories_of_message(two, tenant=Tenant.of(BEN)) == []


async def test_a_source_that_was_deleted_meanwhile_is_left_out(database: Database) -> None:
    await save(database, ANA, city(LIMA, 0, uuid4()))
    assert (await Brain(database).history(ANA, "city"))[0].sources == ()


async def test_memories_come_in_pages_by_their_slugs(database: Database) -> None:
    for slug in ("c", "a", "d", "b"):
        await save(database, ACME, NewMemory(slug, "x", NOON))
    brain = Brain(database)
    first = await brain.get_all_by_company("acme", limit=3)
    rest = await brain.get_all_by_company("acme", after=first[-1].slug, limit=3)
    assert [[memory.slug for memory in page] for page in (first, rest)] == [["a", "b", "c"], ["d"]]
    assert await brain.get_all_by_user("acme") == []
    assert await brain.get_by_company_and_slug("acme", "e") is None


@pytest.mark.parametrize("owner", [ANA, ACME], ids=str)
@pytest.mark.parametrize("rut", [None, "12.345.678-K"])
async def test_a_cascade_leaves_word_for_mem0(database: Database, owner: Owner, rut: str | None) -> None:
    table = "profiles" if owner.type == "user" else "companies"
    for slug in ("city", "name"):
        await save(database, owner, NewMemory(slug, LIMA, NOON))
    await save(database, BEN, city(LIMA))
    async with database.transaction() as session:
        await session.execute(text(f"update {table} set rut = :rut where id = :id"), {"rut": rut, "id": owner.id})  # noqa: S608
        await session.execute(
            text(
                "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug, attempts) "
                "values (:brain, 'save', :type, :owner, 'city', 3)"
            ),
            {"brain": brain_id(owner, "city"), "type": owner.type, "owner": owner.id},
        )
    async with database.transaction() as session:
        await session.execute(text(f"delete from {table} where id = :id"), {"id": owner.id})  # noqa: S608
    async with database.transaction() as session:
        left = await session.execute(
            text("select action, owner_type, owner_id, slug, entity_id, memory_id from mem0_intents order by slug")
        )
        expected = "12345678k" if rut else str(owner.id)
        assert [tuple(row) for row in left] == [
            ("delete", owner.type, owner.id, slug, expected, f"mem0-{brain_id(owner, slug)}")
            for slug in ("city", "name")
        ]
    assert await Brain(database).history(owner, "city") == []
    assert await Brain(database).get_by_user_and_slug("ben", "city")


async def test_a_record_deleted_by_itself_leaves_word_too(database: Database) -> None:
    await save(database, ANA, city(LIMA))
    async with database.transaction(Tenant.of(ANA)) as session:
        await session.execute(text("delete from user_brain"))
    async with database.transaction() as session:
        left = (await session.execute(text("select action, entity_id, memory_id from mem0_intents"))).one()
    assert tuple(left) == ("delete", str(ANA.id), f"mem0-{brain_id(ANA, 'city')}")


async def test_a_deletion_that_is_rolled_back_leaves_nothing(database: Database) -> None:
    await save(database, ANA, city(LIMA))
    async with database.transaction() as session:
        await session.execute(text("delete from profiles"))
        await session.rollback()
    assert await count(database, "mem0_intents") == 0
    assert await count(database, "user_brain") == 1


@pytest.mark.parametrize(("rut", "expected"), [("12.345.678-K", "12345678k"), (None, None)])
async def test_mem0_knows_an_owner_by_its_rut(database: Database, rut: str | None, expected: str | None) -> None:
    ana = owner_of("user", "ana")
    async with database.transaction() as session:
        assert await session.run_sync(know_owner, ana) == str(ana.id)
        await session.execute(text("update profiles set rut = :rut"), {"rut": rut})
        assert await session.run_sync(know_owner, ana) == (expected or str(ana.id))
        assert await session.scalar(text("select external_id from profiles")) == "ana"


@pytest.mark.parametrize(
    "rut",
    ["12.345.678-K", " 12 345 678 - k ", "1\u20109", "7\u2013k", "1\t2\n3", None, "", "K", "12k45", "1234567890-1"],
)
async def test_the_database_names_an_entity_as_we_do(database: Database, rut: str | None) -> None:
    try:
        expected = entity_id(ANA, rut)
    except InvalidInputError:
        expected = str(ANA.id)
    async with database.transaction() as session:
        asked = text("select afterturn_entity(:rut, cast(:id as uuid))")
        assert await session.scalar(asked, {"rut": rut, "id": ANA.id}) == expected


async def test_an_owner_is_added_by_many_at_once(database: Database) -> None:
    async def know(owner: Owner) -> str:
        async with database.transaction() as session:
            return await session.run_sync(know_owner, owner)

    for number in range(20):
        owner = owner_of("user", f"person-{number}")
        assert set(await asyncio.gather(*(know(owner) for _ in range(8)))) == {str(owner.id)}


async def test_a_name_that_another_owner_has_is_waited_for(database: Database) -> None:
    async with database.transaction() as session:
        taken = text("insert into profiles (id, external_id) values (:id, 'ana')")
        await session.execute(taken, {"id": BEN.id})
    with pytest.raises(OwnerUnknownError):
        await save(database, ANA, city(LIMA))


async def test_a_wrong_rut_is_told_apart_from_none(database: Database) -> None:
    async with database.transaction() as session:
        await session.run_sync(know_owner, ANA)
        await session.execute(text("update profiles set rut = 'unknown'"))
    with pytest.raises(InvalidInputError, match="rut"):
        await save(database, ANA, city(LIMA))


async def test_a_record_without_mem0s_id_is_refused_and_leaves_nothing(database: Database) -> None:
    async with database.transaction() as session:
        await session.run_sync(know_owner, ANA)
    with pytest.raises(ValueError, match="Mem0"):
        async with database.transaction() as session:
            await session.run_sync(lambda sync: record(sync, ANA, city(LIMA), memory_id=None))
    assert await count(database, "memory_versions") == 0


async def test_a_memory_that_moved_in_mem0_is_linked_anew(database: Database) -> None:
    await save(database, ANA, city(LIMA))
    async with database.transaction() as session:
        await session.run_sync(lambda sync: record(sync, ANA, city(LIMA), memory_id="another"))
    found = await Brain(database).get_by_user_and_slug("ana", "city")
    assert found
    assert found.memory_id == "another"


@pytest.mark.parametrize("table", ["profiles", "companies"])
async def test_an_owner_that_the_host_must_add_is_waited_for(database: Database, table: str) -> None:
    owner = ANA if table == "profiles" else ACME
    async with database.transaction() as session:
        await session.execute(text("reset role"))
        await session.execute(text(f"alter table {table} add column tax_office text not null"))
    for tenant in (None, Tenant.of(owner)):
        with pytest.raises(OwnerUnknownError):
            await save(database, owner, city(LIMA), tenant)
    async with database.transaction() as session:
        await session.execute(text(f"insert into {table} (id, tax_office) values (:id, 'x')"), {"id": owner.id})  # noqa: S608
    assert (await save(database, owner, city(LIMA))).change == "created"
    async with database.transaction() as session:
        assert await session.scalar(text(f"select external_id from {table}")) == owner.external_id  # noqa: S608
