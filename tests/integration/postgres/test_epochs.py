"""Whoever wrote before an owner was forgotten is erased, whoever writes after it is told: there is nothing between."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import text

from services.domain.errors import ForgottenError, TransientError
from services.domain.ids import message_uid
from services.domain.memories import NewMemory, owner_of
from services.domain.messages import ClaimedEntry, Rejected
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.writing import Archive
from services.postgres.database import Database, Tenant
from services.postgres.forgetting.epochs import enter, refuse_forgotten
from services.postgres.memories.writing import know_owner, record
from tests.support.forgotten_rooms import AFTER, BEFORE, archive, claim, forget, ids_in, said
from tests.support.tenants import NOON

ANA, BEN, ACME = owner_of("user", "ana"), owner_of("user", "ben"), owner_of("company", "acme")
OWN, SHARED = "user:ana", "room:shared"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


async def test_what_was_claimed_before_stays_out_and_what_was_claimed_after_comes_in(database: Database) -> None:
    await forget(database)
    reply = said("r", None, role="assistant")
    await archive(database, SHARED, BEFORE, said("a"), reply, said("b", "ben"), said("n", None, role="tool"))
    assert await ids_in(database, SHARED) == ["b", "n"]
    await archive(database, OWN, BEFORE, said("x", None), said("y"))
    assert await ids_in(database, OWN) == []
    await archive(database, SHARED, AFTER, said("a"), reply, said("new"))
    assert await ids_in(database, SHARED) == ["b", "n", "new"]


async def test_what_cannot_be_read_stays_out_too_where_it_names_them(database: Database) -> None:
    await forget(database)
    why = Rejected("unknown_role", "role: takes user")
    raws = (b'{"role": "x", "user_id": "ana"}', b'{"user_id": "ana", broken', b'{"role": "x", "user_id": "ben"}')
    entries = [ClaimedEntry(number, raw, why) for number, raw in enumerate(raws)]
    await Archive(database).add(SHARED, claim(BEFORE), entries, run_id="run")
    async with database.transaction() as session:
        assert list(await session.scalars(text("select raw from quarantine"))) == [raws[2]]


async def test_a_company_that_was_forgotten_is_named_no_more_in_rooms_of_others(database: Database) -> None:
    await archive(database, "user:ben", BEFORE, said("1", "ben"))
    await forget(database, ACME)
    await archive(database, "user:ben", BEFORE, said("2", "ben", "acme"))
    await archive(database, "room:acme", BEFORE, said("3", "ben", "acme"))
    assert await ids_in(database, "user:ben") == ["1", "2"]
    assert await ids_in(database, "room:acme") == []
    async with database.transaction() as session:
        assert await session.scalar(text("select count(*) from messages where company_id is not null")) == 0
    # The same message, as it came, is a repeated one and no other under its id.
    await archive(database, "user:ben", AFTER, said("2", "ben", "acme"))
    async with database.transaction() as session:
        assert await session.scalar(text("select count(*) from quarantine")) == 0


async def test_whoever_archives_while_somebody_is_forgotten_is_erased_or_told(database: Database) -> None:
    chance = random.Random(7)
    turns = [(f"{number}", chance.choice((BEFORE, AFTER)), chance.choice((OWN, SHARED))) for number in range(60)]

    async def write(id_: str, at: datetime, room: str) -> None:
        await asyncio.sleep(chance.uniform(0, 0.3))
        while True:
            try:
                await archive(database, room, at, said(id_), said(f"ben-{id_}", "ben") if room == SHARED else said(id_))
            except TransientError:  # two that wait for each other: one of them tries again
                continue
            return

    async def forgetting() -> None:
        await asyncio.sleep(0.15)
        while True:
            try:
                await forget(database)
            except TransientError:  # it may be the one of the two
                continue
            return

    await asyncio.gather(forgetting(), *(write(*turn) for turn in turns))
    await forget(database)  # what a retry would do
    left = {*await ids_in(database, OWN), *await ids_in(database, SHARED)}
    assert not {id_ for id_, at, _ in turns if at == BEFORE} & left
    assert {f"ben-{id_}" for id_, _, room in turns if room == SHARED} <= left


async def test_a_memory_is_dropped_whose_owner_or_source_was_forgotten_since(database: Database) -> None:
    await archive(database, SHARED, BEFORE, said("a"))
    source = message_uid(SHARED, "a")
    memory = NewMemory("maps", "Collects maps.", NOON, epoch=0)
    async with database.transaction(Tenant.of(ANA)) as session:
        assert await session.run_sync(enter, ANA, 0) == 0
    await forget(database)
    async with database.transaction(Tenant.of(ANA)) as session:
        with pytest.raises(ForgottenError):
            await session.run_sync(enter, ANA, memory.epoch)
    async with database.transaction(Tenant.of(ACME)) as session:
        with pytest.raises(ForgottenError):
            await session.run_sync(refuse_forgotten, replace(memory, sources=(source,)))
        assert await session.run_sync(enter, ACME, 0) == 0


async def test_a_memory_of_others_goes_with_its_source_and_what_stood_before_stands_again(database: Database) -> None:
    await archive(database, SHARED, BEFORE, said("a"), said("b", "ben"))
    uids = {name: message_uid(SHARED, name) for name in ("a", "b")}
    versions = [
        NewMemory("hours", "Opens at nine.", NOON, sources=(uids["b"],)),
        NewMemory("hours", "Opens at ten.", NOON + timedelta(days=1), sources=(uids["a"],)),
        NewMemory("town", "Is in Lima.", NOON, sources=(uids["a"], uids["b"])),
    ]
    async with database.transaction() as session:
        await session.run_sync(know_owner, ACME)
        for version in versions:
            await session.run_sync(partial(record, owner=ACME, memory=version, memory_id=f"{version.slug} in Mem0"))
    await forget(database)
    async with database.transaction() as session:
        brain = (await session.execute(text("select slug, content, memory_id from company_brain"))).all()
        assert [tuple(row) for row in brain] == [("hours", "Opens at nine.", "hours in Mem0")]
        current = await session.scalars(text("select content from memory_versions where is_current"))
        assert list(current) == ["Opens at nine."]
        left = await session.scalars(text("select slug from memories_to_settle order by slug"))
        assert list(left) == ["hours", "town"]


async def test_a_chunk_that_is_being_digested_is_gone_for_who_digests_it(database: Database) -> None:
    chunks = Chunks(database, max_tokens=1_000, max_messages=10)
    await archive(database, SHARED, BEFORE, said("a"), said("b", "ben"))
    old = await chunks.next_waiting(SHARED)
    assert old is not None
    await forget(database)
    new = await chunks.next_waiting(SHARED)
    assert new is not None
    assert new.id != old.id
    assert [message.id for message in new.messages] == ["b"]
    with pytest.raises(TransientError, match="forgotten"):
        await chunks.split(old)
    with pytest.raises(TransientError, match="forgotten"):
        await chunks.quarantine(old, reason="x", detail="x", run_id="run")


async def test_a_tenant_reads_no_epochs_and_asks_for_nobody_else(database: Database) -> None:
    await forget(database)
    for table in ("owner_epochs", "forgotten_messages", "forgettings", "memories_to_settle"):
        with pytest.raises(TransientError, match="42501"):
            async with database.transaction(Tenant.of(ANA)) as session:
                await session.execute(text(f"select 1 from {table}"))  # noqa: S608
    with pytest.raises(TransientError, match="42501"):
        async with database.transaction(Tenant.of(BEN)) as session:
            await session.run_sync(enter, ANA)
