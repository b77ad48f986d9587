"""Promises 6 and 7 for webhooks: what happened is queued in its own transaction, for those whom it concerns, as ids."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.domain.memories import Owner, brain_id, owner_of
from services.postgres.api.outbox import Outbox
from services.postgres.api.webhooks import Webhooks
from services.postgres.database import Database, Tenant
from services.postgres.forgetting.erasing_owner import OwnerEraser
from services.postgres.forgetting.forgettings import Forgettings
from services.postgres.upkeep.clean_up import CleanUp
from tests.support.memories_kept import forget_owner, run_sql
from tests.support.webhook_events import WORDS, add_webhook, changes, digest, mem0_id, queued, remember, write_memory

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")
ACME, GLOBEX = owner_of("company", "acme"), owner_of("company", "globex")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_a_memorys_changes_are_queued_in_their_order(database: Database) -> None:
    webhook = await add_webhook(database)
    await remember(database, ANA, "city", "Ana lives in Lima.")
    await remember(database, ANA, "city", "Ana lives in Lima.")
    await remember(database, ANA, "city", "Ana lives in Quito.", day=2)
    await remember(database, ANA, "city", "Ana lives in Cusco.", day=1)
    await remember(database, ANA, "city", None, day=3)
    rows = await queued(database, webhook)
    assert changes(rows) == ["created", "updated", "ended"]
    assert len({row.event_id for row in rows}) == 3
    created = rows[0]
    assert (created.type, created.subject_id, created.state) == ("memory.changed", brain_id(ANA, "city"), "waiting")
    async with database.transaction() as session:
        version = await session.scalar(
            text("select id::text from memory_versions where content like '%Lima.' and not repeats")
        )
    assert created.data == {
        "change": "created",
        "kind": "semantic",
        "memory_id": mem0_id(ANA, "city"),
        "version_id": version,
        "owner": {"type": "user", "id": str(ANA.id), "external_id": "ana"},
        "run_id": "a-run",
    }


async def test_each_digested_message_is_queued_once(database: Database) -> None:
    webhook = await add_webhook(database)
    await digest(database, "room:1", "m1", "m2", user_id="ana")
    await digest(database, "room:1", "m1", "m2", user_id="ana")
    await digest(database, "room:1", "m3", user_id="ana")
    rows = await queued(database, webhook)
    assert changes(rows) == ["m1", "m2", "m3"]
    assert rows[0].data == {
        "room_id": "room:1",
        "message_id": "m1",
        "seq": 1,
        "owner": {"type": "user", "id": str(ANA.id), "external_id": None},
        "run_id": "a-run",
    }


async def test_no_content_is_queued(database: Database) -> None:
    await add_webhook(database)
    await digest(database, "user:ana", "m1", user_id="ana")
    await remember(database, ANA, "the_secret_words", WORDS)
    async with database.transaction() as session:
        rows = await session.scalars(text("select row_to_json(outbox)::text from outbox"))
        assert not [row for row in rows if "secret" in row]


async def test_what_is_rolled_back_never_happened(database: Database) -> None:
    webhook = await add_webhook(database)
    with suppress(ZeroDivisionError):
        async with database.transaction(Tenant.of(ANA)) as session:
            await session.run_sync(write_memory, ANA, "city", "Ana lives in Lima.")
            raise ZeroDivisionError
    assert await queued(database, webhook) == []


@pytest.mark.parametrize("owner", [ANA, ACME])
async def test_a_webhook_is_told_of_its_owners_events_alone(database: Database, owner: Owner) -> None:
    bound, unbound = await add_webhook(database, owner), await add_webhook(database)
    for each in (ANA, BEN, ACME, GLOBEX):
        await remember(database, each, "city", f"{each} is somewhere.")
        given = {f"{each.type}_id": each.external_id}
        await digest(database, f"room:{each.external_id}", f"of-{each.external_id}", **given)
    rows = await queued(database, bound)
    assert changes(rows) == ["created", f"of-{owner.external_id}"]
    assert {row.data["owner"]["id"] for row in rows} == {str(owner.id)}
    assert len(await queued(database, unbound)) == 8
    theirs = {row.event_id for row in rows}
    assert theirs < {row.event_id for row in await queued(database, unbound)}


async def test_nothing_is_queued_for_nobody(database: Database) -> None:
    await add_webhook(database, BEN)
    await add_webhook(database, events=("message.digested",))
    ended = await add_webhook(database)
    await Outbox(database).gone(ended.id)
    await remember(database, ANA, "city", "Ana lives in Lima.")
    assert await queued(database) == []


async def test_a_webhook_that_is_removed_at_that_moment_breaks_nothing(database: Database) -> None:
    kept, *removed = [await add_webhook(database) for _ in range(3)]
    async with database.transaction() as session, asyncio.TaskGroup() as others:
        await session.execute(text("delete from webhooks where id <> :kept"), {"kept": kept.id})
        writing = [
            others.create_task(remember(database, ANA, "city", "Ana lives in Lima.")),
            others.create_task(digest(database, "room:1", "m1", user_id="ana")),
        ]
        _, pending = await asyncio.wait(writing, timeout=1)
        # They wait for the removal: let it be.
        assert pending
        await session.commit()
    assert sorted(changes(await queued(database))) == ["created", "m1"]
    assert not {row.webhook_id for row in await queued(database)} & {one.id for one in removed}


async def test_no_tenant_reads_or_writes_webhooks(database: Database) -> None:
    await add_webhook(database, ANA)
    await remember(database, ANA, "city", "Ana lives in Lima.")
    for table in ("webhooks", "outbox"):
        with pytest.raises(Exception, match="42501"):
            async with database.transaction(Tenant.of(ANA)) as session:
                await session.execute(text(f"select * from {table}"))  # noqa: S608


async def test_of_what_is_gone_nobody_is_told(database: Database) -> None:
    webhook = await add_webhook(database)
    await digest(database, "room:1", "m1", "m2", user_id="ana")
    await run_sql(database, "delete from messages where id = 'm1'")
    assert changes(await queued(database, webhook)) == ["m2"]


async def test_a_host_that_deletes_a_person_ends_their_memories(database: Database) -> None:
    webhook = await add_webhook(database)
    await remember(database, ANA, "city", "Ana lives in Lima.")
    await forget_owner(database, ANA)
    rows = await queued(database, webhook)
    assert changes(rows) == ["created", "ended"]
    assert rows[1].data["memory_id"] == mem0_id(ANA, "city")


async def test_replay_tells_again_what_happened_since_then_under_the_same_ids(database: Database) -> None:
    webhook, other = await add_webhook(database), await add_webhook(database)
    outbox, webhooks = Outbox(database), Webhooks(database)
    await digest(database, "room:1", "m1", "m2", user_id="ana")
    first, second = await outbox.next(webhook.id, limit=10)
    await outbox.delivered(webhook.id, first)
    await outbox.refused(second)
    await outbox.gone(webhook.id)
    assert await outbox.next(webhook.id, limit=10) == []
    assert await outbox.endpoint(webhook.id) is None
    assert await webhooks.replay(webhook.id, datetime.now(UTC)) == 0
    assert await webhooks.replay(webhook.id, LONG_AGO) == 2
    assert await outbox.endpoint(webhook.id) is not None
    again = await outbox.next(webhook.id, limit=10)
    assert [(one.id, one.attempts) for one in again] == [(first.id, 0), (second.id, 0)]
    assert await webhooks.replay(uuid4(), LONG_AGO) is None
    assert len(await queued(database, other)) == 2


async def test_others_webhooks_are_not_there(database: Database) -> None:
    webhooks = Webhooks(database)
    anas, bens, everybodys = [await add_webhook(database, owner) for owner in (ANA, BEN, None)]
    assert [one.id for one in await webhooks.page(within=[ANA])] == [anas.id]
    assert await webhooks.page(within=[]) == []
    for hidden in (bens, everybodys):
        assert not await webhooks.remove(hidden.id, within=[ANA])
        assert await webhooks.replay(hidden.id, LONG_AGO, within=[ANA]) is None
    assert len(await webhooks.page()) == 3
    assert await webhooks.remove(bens.id, within=[BEN])
    first = await webhooks.page(limit=1)
    rest = await webhooks.page(after=(first[0].created_at, first[0].id))
    assert [one.id for one in (*first, *rest)] == [anas.id, everybodys.id]


async def test_what_was_told_goes_after_its_time_and_what_waits_stays(database: Database) -> None:
    webhook, ended = await add_webhook(database), await add_webhook(database)
    outbox = Outbox(database)
    await digest(database, "room:1", "m1", "m2", "m3", user_id="ana")
    told, refused, _ = await outbox.next(webhook.id, limit=10)
    await outbox.delivered(webhook.id, told)
    await outbox.refused(refused)
    await outbox.gone(ended.id)
    clean_up = CleanUp(database, {"outbox": 7})
    assert await clean_up.clean("outbox", limit=100) == 0
    await run_sql(database, "update outbox set occurred_at = '2026-01-01', ended_at = ended_at - interval '8 days'")
    assert await clean_up.clean("outbox", limit=100) == 5
    assert changes(await queued(database)) == ["m3"]
    assert await CleanUp(database, {"outbox": 0}).clean("outbox", limit=100) == 0


async def test_an_endpoint_that_fails_too_long_is_given_up(database: Database) -> None:
    webhook = await add_webhook(database)
    outbox, week = Outbox(database), timedelta(days=7)
    await digest(database, "room:1", "m1", user_id="ana")
    [event] = await outbox.next(webhook.id, limit=10)
    assert not await outbox.failed(webhook.id, event, "status 503", give_up_after=week)
    assert await outbox.waiting() == [webhook.id]
    assert await outbox.waiting(besides_failing=True) == []
    [listed] = await Webhooks(database).page()
    assert (listed.failure, listed.waiting, listed.ended) == ("status 503", 1, None)
    assert listed.failing_since is not None
    await run_sql(database, "update webhooks set failing_since = now() - interval '8 days'")
    assert await outbox.failed(webhook.id, event, "status 503", give_up_after=week)
    [listed] = await Webhooks(database).page()
    assert listed.ended == "failed too long"
    assert await outbox.waiting() == []
    assert await Webhooks(database).replay(webhook.id, LONG_AGO) == 0
    assert await outbox.waiting(besides_failing=True) == [webhook.id]


async def test_who_is_forgotten_is_named_to_nobody_any_more(database: Database) -> None:
    _, everybodys = await add_webhook(database, ANA), await add_webhook(database)
    for owner in (ANA, BEN):
        await remember(database, owner, "city", f"{owner} lives in Lima.")
        await digest(database, f"user:{owner.external_id}", "m1", user_id=owner.external_id)
    await digest(database, "room:shared", "of-ben", user_id="ben")
    await digest(database, "room:shared", "of-ana", user_id="ana")
    runs, eraser = Forgettings(database), OwnerEraser(database)
    await runs.open("a-run", ANA)
    await runs.begin_epoch(await runs.get("a-run"), datetime.now(UTC))
    while await eraser.erase_page(await runs.get("a-run")):
        pass
    rows = await queued(database)
    assert {row.webhook_id for row in rows} == {everybodys.id}
    assert changes(rows) == ["created", "m1", "of-ben"]
    assert {row.owner_id for row in rows} == {BEN.id}
    assert [one.id for one in await Webhooks(database).page()] == [everybodys.id]
    receipt = await runs.finish("a-run")
    assert receipt.erased["webhooks"] == 1
