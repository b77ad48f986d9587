"""Reconciling finds what brain and Mem0 disagree on, mends it, and leaves alone what is not ours."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.domain.errors import InvalidInputError
from services.domain.memories import NewMemory, brain_id, owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.mem0_store.port import ReconcilePage
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from tests.support.memories_kept import forget_owner, kept, mem0_place, run_sql
from tests.support.openai_server import EMBEDDINGS, OpenAIServer, Status

ANA, BEA, ACME = owner_of("user", "ana"), owner_of("user", "bea"), owner_of("company", "acme")
OWNERS = (ANA, BEA, ACME)
START = datetime(2026, 1, 1, tzinfo=UTC)
VECTOR = str([0.5] * 8)


def said(content: str | None, *, slug: str = "user_city", day: int = 0) -> NewMemory:
    return NewMemory(slug, content, START + timedelta(days=day))


@pytest.fixture
async def filled(store: OpenSourceStore) -> list[UUID]:
    """Give twelve memories of three owners."""
    for owner in OWNERS:
        for number in range(4):
            await store.save(owner, said(f"{owner} knows {number}", slug=f"s{number}"))
    return [brain_id(owner, f"s{number}") for owner in OWNERS for number in range(4)]


async def walk(store: OpenSourceStore, *, limit: int = 5, repair: bool = True) -> ReconcilePage:
    """Reconcile page by page, and add the pages up."""
    total, after = ReconcilePage(), None
    while True:
        page = await store.reconcile(after, limit=limit, repair=repair)
        total = _sum(total, page)
        if page.next_after is None:
            return total
        assert after is None or page.next_after > after
        after = page.next_after


def _sum(one: ReconcilePage, two: ReconcilePage) -> ReconcilePage:
    return ReconcilePage(
        checked=one.checked + two.checked,
        missing_in_mem0=one.missing_in_mem0 + two.missing_in_mem0,
        missing_in_brain=one.missing_in_brain + two.missing_in_brain,
        texts_differ=one.texts_differ + two.texts_differ,
        duplicates=one.duplicates + two.duplicates,
        foreign=one.foreign + two.foreign,
        repaired=one.repaired + two.repaired,
    )


async def plant(database: Database, id_: UUID, payload: dict[str, Any] | None) -> None:
    await run_sql(
        database,
        f"insert into {await mem0_place(database)} values (:id, cast(:vector as vector), cast(:payload as jsonb))",  # noqa: S608
        id=id_,
        vector=VECTOR,
        payload=None if payload is None else json.dumps(payload),
    )


async def test_without_any_memory_there_is_nothing_to_do(store: OpenSourceStore) -> None:
    assert await store.reconcile(None, limit=10) == ReconcilePage()


async def test_a_cursor_of_another_store_is_refused(store: OpenSourceStore) -> None:
    with pytest.raises(InvalidInputError, match="after"):
        await store.reconcile("user:ana", limit=10)


@pytest.mark.parametrize("limit", [1, 5, 12, 13, 1000])
async def test_what_agrees_is_checked_once_and_left_alone(
    limit: int, store: OpenSourceStore, filled: list[UUID], database: Database, server: OpenAIServer
) -> None:
    before, asked = await kept(database), server.calls[EMBEDDINGS]
    assert await walk(store, limit=limit) == ReconcilePage(checked=12)
    assert await kept(database) == before
    assert server.calls[EMBEDDINGS] == asked


Damage = Callable[[Database, UUID], Awaitable[None]]


async def lose_vector(database: Database, id_: UUID) -> None:
    await run_sql(database, f"delete from {await mem0_place(database)} where id = :id", id=id_)  # noqa: S608


async def lose_brain(database: Database, id_: UUID) -> None:
    """By hand: its word for Mem0 is left."""
    for table in ("user_brain", "company_brain"):
        await run_sql(database, f"delete from {table} where id = :id", id=id_)  # noqa: S608


async def lose_brain_without_a_word(database: Database, id_: UUID) -> None:
    """As from a backup of one table."""
    await lose_brain(database, id_)
    await run_sql(database, "delete from mem0_intents where brain_id = :id", id=id_)


async def lose_both(database: Database, id_: UUID) -> None:
    await lose_brain(database, id_)
    await lose_vector(database, id_)


def payload_damage(expression: str) -> Damage:
    async def damage(database: Database, id_: UUID) -> None:
        place = await mem0_place(database)
        await run_sql(database, f"update {place} set payload = {expression} where id = :id", id=id_)  # noqa: S608

    return damage


async def leave_stale_word(database: Database, id_: UUID) -> None:
    await run_sql(
        database,
        "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug) "
        "values (:id, 'delete', 'user', :owner, 's1')",
        id=id_,
        owner=ANA.id,
    )


async def rename_memory(database: Database, id_: UUID) -> None:
    await run_sql(database, "update user_brain set memory_id = 'of-the-platform' where id = :id", id=id_)


async def change_rut(database: Database, id_: UUID) -> None:
    await run_sql(database, "update profiles set rut = '11.111.111-1' where id = :id", id=BEA.id)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lose_vector, {"missing_in_mem0": 1}),
        (lose_brain, {"missing_in_brain": 1}),
        (lose_brain_without_a_word, {"missing_in_brain": 1}),
        (lose_both, {}),
        (payload_damage("""payload || '{"data": "Vive en Marte"}'"""), {"texts_differ": 1}),
        (payload_damage("""payload || '{"data": null}'"""), {"texts_differ": 1}),
        (payload_damage("payload - 'owner_id'"), {"texts_differ": 1}),
        (payload_damage("payload - 'brain_id'"), {"texts_differ": 1}),
        (payload_damage("payload - 'updated_at'"), {"texts_differ": 1}),
        (payload_damage("""payload || '{"user_id": "somebody"}'"""), {"texts_differ": 1}),
        (payload_damage("""payload || '{"kind": "procedural"}'"""), {"texts_differ": 1}),
        (payload_damage("'{}'"), {"texts_differ": 1}),
        (payload_damage("null"), {"texts_differ": 1}),
        (payload_damage("'[1]'"), {"texts_differ": 1}),
        (payload_damage("""payload || '{"note": "added by hand"}'"""), {}),
        (leave_stale_word, {}),
        (rename_memory, {"texts_differ": 1}),
        (change_rut, {"texts_differ": 4}),
    ],
)
async def test_each_disagreement_is_found_and_mended(
    damage: Damage, found: dict[str, int], store: OpenSourceStore, filled: list[UUID], database: Database
) -> None:
    await damage(database, brain_id(BEA, "s1"))
    drift = sum(found.values())
    seen = await walk(store, repair=False)
    assert {name: getattr(seen, name) for name in found} == found
    assert (seen.drift, seen.repaired) == (drift, 0)
    mended = await walk(store)
    assert (mended.drift, mended.repaired) == (drift, drift)
    assert await walk(store) == ReconcilePage(checked=len((await kept(database)).brain))
    assert (await kept(database)).agrees()


async def test_a_cascade_reaches_mem0(store: OpenSourceStore, filled: list[UUID], database: Database) -> None:
    await forget_owner(database, ANA)
    await forget_owner(database, ACME)
    assert len((await kept(database)).intents) == 8
    page = await walk(store)
    assert (page.missing_in_brain, page.drift, page.repaired) == (8, 8, 8)
    after = await kept(database)
    assert after.agrees()
    assert set(after.mem0) == {brain_id(BEA, f"s{number}") for number in range(4)}


async def test_what_is_not_ours_is_counted_and_never_touched(
    store: OpenSourceStore, filled: list[UUID], database: Database
) -> None:
    ours = brain_id(ANA, "s0")
    foreign: dict[UUID, dict[str, Any] | None] = {
        uuid4(): {"data": "Le gusta el mar", "user_id": str(ANA.id)},
        uuid4(): {"data": "x", "brain_id": "of another program"},
        uuid4(): {"data": "x", "brain_id": str(uuid4()), "owner_type": "user", "owner_id": str(ANA.id), "slug": "s0"},
        uuid4(): {"data": "x", "brain_id": str(ours), "owner_type": "robot", "owner_id": str(ANA.id), "slug": "s0"},
        uuid4(): {"data": "x", "brain_id": str(ours), "owner_type": "user", "owner_id": 5, "slug": ["s0"]},
        uuid4(): {"data": "x", "brain_id": None},
        uuid4(): {"data": "x", "brain_id": ["a"]},
        uuid4(): None,
    }
    for id_, payload in foreign.items():
        await plant(database, id_, payload)
    await lose_vector(database, ours)
    page = await walk(store)
    assert (page.foreign, page.missing_in_mem0, page.drift) == (len(foreign), 1, 1)
    after = await kept(database)
    assert {id_: payload for id_, payload in after.mem0.items() if id_ in foreign} == foreign
    assert set(after.mem0) - set(foreign) == set(filled)


async def test_a_second_copy_of_ours_is_removed(store: OpenSourceStore, filled: list[UUID], database: Database) -> None:
    """As a writer would leave it that lets Mem0 choose the id, whether its record stands or not."""
    copies = (await kept(database)).mem0
    await plant(database, uuid4(), copies[brain_id(ANA, "s0")])
    await plant(database, uuid4(), copies[brain_id(ANA, "s1")])
    await lose_both(database, brain_id(ANA, "s1"))
    page = await walk(store)
    assert (page.duplicates, page.drift, page.repaired) == (2, 2, 2)
    assert (await kept(database)).agrees()


async def test_many_losses_are_embedded_together(
    store: OpenSourceStore, filled: list[UUID], database: Database, server: OpenAIServer
) -> None:
    await run_sql(database, f"delete from {await mem0_place(database)}")  # noqa: S608
    server.calls.clear()
    page = await walk(store, limit=100)
    assert (page.missing_in_mem0, page.repaired) == (12, 12)
    assert server.calls[EMBEDDINGS] == 1
    assert (await kept(database)).agrees()


async def test_a_text_that_the_model_refuses_does_not_stop_the_others(
    store: OpenSourceStore, filled: list[UUID], database: Database, server: OpenAIServer
) -> None:
    await run_sql(database, f"delete from {await mem0_place(database)}")  # noqa: S608
    refused = f"{ANA} knows 2"
    server.refuses = lambda request: Status(400) if refused in request.get("input", []) else None
    page = await walk(store, limit=100)
    assert (page.missing_in_mem0, page.repaired) == (12, 11)
    server.refuses = None
    assert (await walk(store)).repaired == 1
    assert (await kept(database)).agrees()


async def test_a_process_that_is_told_of_another_model_writes_the_current_one(
    database_url: str, store: OpenSourceStore, filled: list[UUID], server: OpenAIServer, database: Database
) -> None:
    async with ModelClient.open(server.url) as model, OpenSourceStore.open(database_url, model, "other-model") as other:
        assert (await other.save(ANA, said(f"{ANA} knows more", slug="s1", day=1))).change == "updated"
        assert (await walk(other)).drift == 0
    assert (await walk(store)).drift == 0
    assert (await kept(database)).agrees()


async def test_history_is_not_touched(store: OpenSourceStore, filled: list[UUID], database: Database) -> None:
    brain = Brain(database)
    before = await brain.history(ANA, "s1")
    await lose_vector(database, brain_id(ANA, "s1"))
    await walk(store)
    assert await brain.history(ANA, "s1") == before
    assert (await store.save(ANA, said(f"{ANA} knows 1", slug="s1"))).change == "unchanged"
