"""Search over memories, beside messages and summaries: whose they are, and what they said when."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from services.domain.ids import message_uid
from services.domain.memories import Kind, NewMemory, Owner, owner_of
from services.postgres.database import Database, Tenant
from services.postgres.memories.writing import Placed, know_owner, record
from services.postgres.search.searching import Hit, HitKind, Search
from services.postgres.vectors.tables import Embeddings, Item, memory_table
from tests.support import tenants
from tests.support.tenants import ACME, ANA, BEN, GLOBEX, room_of

MODEL = "toy"
EVA = owner_of("user", "eva")
MEMORIES: tuple[HitKind, ...] = ("episodic", "semantic", "procedural")


def month(number: int) -> datetime:
    return datetime(2026, number, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """One connection, so that what one tenant leaves behind meets the next."""
    async with Database.open(database_url, pool_size=1) as opened:
        yield opened


async def remember(
    database: Database,
    slug: str,
    content: str | None,
    asserted_at: datetime,
    kind: Kind = "semantic",
    *,
    owner: Owner = EVA,
    sources: tuple[UUID, ...] = (),
) -> Placed:
    memory = NewMemory(slug, content, asserted_at, kind, sources=sources)
    async with database.transaction() as session:
        await session.run_sync(know_owner, owner)
        return await session.run_sync(
            lambda sync: record(sync, owner, memory, memory_id=None if content is None else slug)
        )


def told(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


@pytest.mark.parametrize("owner", [ANA, BEN, ACME, GLOBEX])
async def test_a_tenant_finds_its_own_of_every_kind_and_nobody_elses(database: Database, owner: Owner) -> None:
    await tenants.fill(database)
    search = Search(database, MODEL)
    for _ in range(2):
        hits = await search.find("the secret", [1.0, 0.0], tenant=Tenant.of(owner), limit=100)
        assert sorted(hit.kind for hit in hits) == ["message", "semantic", "summary"]
        assert {hit.owner and hit.owner.id for hit in hits} == {None, owner.id}
        assert {hit.room_id for hit in hits} == {None, room_of(owner)}
        everything = await search.find("the secret", [1.0, 0.0], limit=100)
        assert len(everything) == 12


async def test_a_tenant_that_asks_for_anothers_finds_nothing(database: Database) -> None:
    await tenants.fill(database)
    search = Search(database, MODEL)
    for asked in ({"owner": BEN}, {"room_id": room_of(BEN)}, {"owner": ACME}, {"room_id": room_of(ACME)}):
        assert await search.find("the secret", [1.0, 0.0], tenant=Tenant.of(ANA), **asked) == []
        assert (await search.read("Visitor?", tenant=Tenant.of(ANA), **asked)).speakers == ()
    assert (await search.read("Visitor?", room_id=room_of(ACME))).speakers == ("visitor",)


async def test_what_a_memory_said_is_found_as_of_any_time(database: Database) -> None:
    await remember(database, "home", "Eva lives in Lima.", month(1))
    await remember(database, "home", "Eva lives in Quito.", month(3))
    await remember(database, "home", None, month(5))
    await remember(database, "pet", "Eva lives with a cat.", month(4))
    search = Search(database, "none")

    async def found(as_of: datetime | None) -> set[str]:
        return set(told(await search.find("Where does Eva live?", None, owner=EVA, as_of=as_of)))

    assert await found(datetime(2025, 12, 31, tzinfo=UTC)) == set()
    assert await found(month(2)) == {"Eva lives in Lima."}
    assert await found(month(3)) == {"Eva lives in Quito."}
    assert await found(month(4)) == {"Eva lives in Quito.", "Eva lives with a cat."}
    assert await found(month(6)) == {"Eva lives with a cat."}
    assert await found(None) == {"Eva lives with a cat."}
    (hit,) = await search.find("Lima", None, as_of=month(2))
    assert (hit.slug, hit.owner, hit.kind, hit.role) == ("home", EVA_BY_ID, "semantic", "memory")
    assert (hit.valid_from, hit.valid_to) == (month(1), month(3))
    (hit,) = await search.find("cat", None)
    assert (hit.valid_from, hit.valid_to) == (month(4), None)


EVA_BY_ID = Owner("user", EVA.id)


async def test_what_was_only_said_again_does_not_hide_what_held(database: Database) -> None:
    await remember(database, "home", "Eva lives in Lima.", month(1))
    await remember(database, "home", "Eva lives in Lima.", month(2))
    await remember(database, "home", "Eva lives in Quito.", month(4))
    (hit,) = await Search(database, "none").find("lives", None, as_of=month(3))
    assert (hit.text, hit.valid_from, hit.valid_to) == ("Eva lives in Lima.", month(1), month(4))


async def test_vectors_of_past_versions_are_ours_and_of_current_ones_mem0s(database: Database) -> None:
    old = await remember(database, "home", "Eva lives in Lima.", month(1))
    new = await remember(database, "home", "Eva lives in Quito.", month(3))
    other = await remember(database, "pet", "A cat.", month(1))
    async with database.transaction() as session:
        place = await session.run_sync(memory_table, MODEL, 2)
        for placed, vector in ((new, "[1,0]"), (other, "[0,1]")):
            statement = f"insert into {place} values (:id, :vector, '{{}}')"  # noqa: S608
            await session.execute(text(statement.replace(":vector", "cast(:vector as text)::vector")), {
                "id": placed.brain_id, "vector": vector,
            })  # fmt: skip
    await Embeddings(database, MODEL).save({Item(old.version_id, "memory"): [0.0, -1.0]})
    search = Search(database, MODEL)
    assert told(await search.find("", [1.0, 0.1], owner=EVA))[0] == "Eva lives in Quito."
    assert told(await search.find("", [0.0, 1.0], owner=EVA))[0] == "A cat."
    assert told(await search.find("", [0.1, -1.0], owner=EVA, as_of=month(2)))[0] == "Eva lives in Lima."


async def test_kinds_and_times_narrow_a_search(database: Database) -> None:
    await remember(database, "trip", "Eva went to the sea.", month(1), "episodic")
    await remember(database, "taste", "Eva loves the sea.", month(2), "semantic")
    await remember(database, "rule", "Speak of the sea.", month(3), "procedural")
    await tenants.archive(database, "user:eva", tenants.said_by(EVA))
    search = Search(database, "none")
    for kind, slug in (("episodic", "trip"), ("semantic", "taste"), ("procedural", "rule")):
        assert [hit.slug for hit in await search.find("sea", None, kinds=(kind,))] == [slug]
    assert [hit.kind for hit in await search.find("secret sea", None, kinds=("message",))] == ["message"]
    assert await search.find("sea", None, kinds=()) == []
    timed = await search.find("sea", None, since=month(2), until=month(3))
    assert [hit.slug for hit in timed] == ["taste"]


async def test_a_room_is_searched_with_what_was_learned_there(database: Database) -> None:
    await tenants.archive(database, "user:eva", tenants.said_by(EVA))
    await remember(database, "here", "Eva has a secret.", month(1), sources=(message_uid("user:eva", "m1"),))
    await remember(database, "elsewhere", "Eva has another secret.", month(1))
    hits = await Search(database, "none").find("secret", None, room_id="user:eva")
    assert {hit.slug or hit.id for hit in hits} == {"m1", "here"}
    assert await Search(database, "none").find("secret", None, room_id="user:nobody") == []


async def test_a_room_that_says_again_what_was_known_is_searched_with_it(database: Database) -> None:
    for owner in (EVA, BEN):
        await tenants.archive(database, room_of(owner), tenants.said_by(owner))
    rooms = {owner: message_uid(room_of(owner), "m1") for owner in (EVA, BEN)}
    await remember(database, "home", "Eva lives in Lima.", month(1), sources=(rooms[EVA],))
    await remember(database, "home", "Eva lives in Lima.", month(2), sources=(rooms[BEN],))
    search = Search(database, "none")

    async def found(owner: Owner, **when: datetime) -> list[str | None]:
        hits = await search.find("Lima", None, room_id=room_of(owner), kinds=("semantic",), **when)  # type: ignore[arg-type]
        return [hit.slug for hit in hits]

    assert [await found(owner) for owner in (EVA, BEN)] == [["home"], ["home"]]
    assert [await found(owner, as_of=month(1)) for owner in (EVA, BEN)] == [["home"], []]
    await remember(database, "home", "Eva lives in Quito.", month(3))
    assert [await found(owner) for owner in (EVA, BEN)] == [[], []]
    assert [await found(owner, as_of=month(2)) for owner in (EVA, BEN)] == [["home"], ["home"]]


async def test_an_owners_only_memory_is_found_by_its_meaning(database: Database) -> None:
    """It has nothing to stand out from: it is as near as it is."""
    only = await remember(database, "home", "Eva lives in Lima.", month(2))
    async with database.transaction() as session:
        place = await session.run_sync(memory_table, MODEL, 2)
        statement = f"insert into {place} values (:id, cast('[1,0]' as vector), '{{}}')"  # noqa: S608
        await session.execute(text(statement), {"id": only.brain_id})
    search = Search(database, MODEL)
    assert told(await search.find("her flat?", [1.0, 0.1], owner=EVA)) == ["Eva lives in Lima."]
    assert told(await search.find("her flat?", [-1.0, 0.1], owner=EVA)) == []
