"""Many memories at once: as one by one, only faster; what is wrong with one is no other's trouble."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.domain.errors import AfterturnError, ForgottenError, InvalidInputError, ModelRefusedError, TransientError
from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.mem0_store.open_source import OpenSourceStore
from services.memories.saving import MemoryService
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.forgetting import epochs
from services.postgres.memories.brain import Brain
from tests.support.memories_kept import kept, run_sql
from tests.support.openai_server import EMBEDDINGS, Held, OpenAIServer, Status

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = [owner_of("user", f"person-{number}") for number in range(6)]
ACME = owner_of("company", "acme")


def said(content: str | None, *, slug: str = "city", day: int = 0, **more: Any) -> NewMemory:
    return NewMemory(slug, content, START + timedelta(days=day), **more)


def changes(outcomes: list[Any]) -> list[str]:
    return [one.change if isinstance(one, SavedMemory) else type(one).__name__ for one in outcomes]


async def test_many_of_many_owners_take_one_request_and_stand_in_both(
    store: OpenSourceStore, database: Database, server: OpenAIServer
) -> None:
    wanted = [(owner, said(f"{owner} has {slug}", slug=slug)) for owner in (*PEOPLE, ACME) for slug in ("a", "b", "c")]
    outcomes = await store.save_many(wanted)
    assert changes(outcomes) == ["created"] * 21
    assert [one.memory_id for one in outcomes if isinstance(one, SavedMemory)] == [
        str(brain_id(owner, memory.slug)) for owner, memory in wanted
    ]
    assert server.calls[EMBEDDINGS] == 1
    assert (await kept(database)).agrees()
    [version] = await Brain(database).history(ACME, "b")
    assert (version.content, version.made_by) == ("company:acme has b", "caller")

    again = await store.save_many(wanted)
    assert changes(again) == ["unchanged"] * 21
    assert server.calls[EMBEDDINGS] == 1
    assert len(await Brain(database).history(ACME, "b")) == 1


async def test_it_is_as_if_they_were_saved_one_by_one(store: OpenSourceStore, database: Database) -> None:
    ana = PEOPLE[0]
    await store.save(ana, said("Lima", day=5, slug="old"))
    outcomes = await store.save_many(
        [
            (ana, said("Quito", day=1, slug="old")),
            (ana, said("Lima", slug="twice")),
            (ana, said("Cusco", slug="twice", day=1)),
            (ana, said(None, slug="nothing")),
            (ana, said("Tacna", slug="new", metadata={"sure": True}, kind="procedural")),
            (ana, said("Lima", day=5, slug="old")),
        ]
    )
    assert changes(outcomes) == ["earlier", "created", "updated", "unchanged", "created", "unchanged"]
    report = await kept(database)
    assert report.agrees()
    assert report.mem0[brain_id(ana, "new")]["sure"] is True
    assert report.mem0[brain_id(ana, "new")]["kind"] == "procedural"
    assert sorted(report.texts.values()) == ["Cusco", "Lima", "Tacna"]


async def test_one_at_fault_keeps_no_other_out(
    store: OpenSourceStore, database: Database, server: OpenAIServer
) -> None:
    await store.save_many([(owner, said("here", slug="first")) for owner in PEOPLE])
    await run_sql(database, "update profiles set rut = 'no rut' where id = :id", id=PEOPLE[1].id)
    server.refuses = lambda request: Status(400) if "poison" in str(request) else None
    texts = ["one", "two", "poison", "four", "nul\x00", "x" * 30_000]
    outcomes = await store.save_many([(owner, said(text)) for owner, text in zip(PEOPLE, texts, strict=True)])
    assert isinstance(outcomes[1], InvalidInputError)
    assert isinstance(outcomes[2], ModelRefusedError)
    assert isinstance(outcomes[4], AfterturnError)
    assert isinstance(outcomes[5], AfterturnError)
    assert changes([outcomes[0], outcomes[3]]) == ["created"] * 2
    report = await kept(database)
    assert report.agrees()
    assert len(report.brain) == 8


async def test_an_outage_is_told_of_each_and_leaves_nothing(
    store: OpenSourceStore, database: Database, server: OpenAIServer
) -> None:
    await store.save(PEOPLE[0], said("here", slug="first"))
    server.fault = Status(503, retry_after="7")
    outcomes = await store.save_many([(owner, said("there")) for owner in PEOPLE])
    assert [isinstance(one, TransientError) and one.retry_after for one in outcomes] == [7] * 6
    assert server.calls[EMBEDDINGS] == 2
    assert len((await kept(database)).brain) == 1
    results = await MemoryService(store).save_many([(owner, [said("there")]) for owner in PEOPLE])
    assert [(result.failed_count, result.errors[0].outage) for result in results] == [(1, True)] * 6
    server.fault = None
    results = await MemoryService(store).save_many([(owner, [said("there")]) for owner in PEOPLE])
    assert [result.success for result in results] == [True] * 6


@pytest.mark.parametrize("are_new", [False, True])
async def test_who_is_forgotten_while_a_batch_is_embedded_stays_forgotten(
    *, are_new: bool, store: OpenSourceStore, database: Database, server: OpenAIServer
) -> None:
    await store.save_many([(owner, said("here", slug="first")) for owner in PEOPLE])
    answer = asyncio.Event()
    server.fault = Held(answer)
    late = [(owner, said(f"there {owner}")) for owner in PEOPLE]
    saving = asyncio.create_task(store.save_many(late, are_new=are_new))
    while server.calls[EMBEDDINGS] < 2:
        await asyncio.sleep(0.01)
    async with database.transaction() as session:
        await epochs.begin(session, PEOPLE[2], claimed_before=datetime.now(UTC))
    server.fault = None
    answer.set()
    outcomes = await saving
    assert isinstance(outcomes[2], ForgottenError)
    assert changes([*outcomes[:2], *outcomes[3:]]) == ["created"] * 5
    report = await kept(database)
    assert report.agrees()
    assert brain_id(PEOPLE[2], "city") not in report.brain


async def test_what_is_learned_from_messages_takes_one_request_too_and_keeps_them_as_its_sources(
    store: OpenSourceStore, database: Database, server: OpenAIServer
) -> None:
    uids = [message_uid("room:a", f"m{number}") for number in range(4)]
    entries = [
        ClaimedEntry(number, b"", NewMessage(f"m{number}", "user", "I moved.", "ana", None, START))
        for number in range(3)
    ]
    await Archive(database).add("room:a", "claim", entries, run_id="run")
    wanted = [
        (PEOPLE[0], said("Lima", slug="a", sources=(uids[0], uids[1]))),
        (PEOPLE[0], said("Oslo", slug="b", sources=(uids[2],))),
        # That message was deleted meanwhile.
        (PEOPLE[0], said("Turin", slug="c", sources=(uids[0], uids[3]))),
    ]
    assert changes(await store.save_many(wanted)) == ["created"] * 3
    assert server.calls[EMBEDDINGS] == 1
    brain = Brain(database)
    found = [set((await brain.history(PEOPLE[0], slug))[0].sources) for slug in ("a", "b", "c")]
    assert found == [{uids[0], uids[1]}, {uids[2]}, {uids[0]}]
    assert changes(await store.save_many(wanted)) == ["unchanged"] * 3
    assert (await kept(database)).agrees()


async def test_a_message_that_was_forgotten_keeps_out_what_it_bears_out_and_nothing_else(
    store: OpenSourceStore, database: Database
) -> None:
    forgotten, other = message_uid("room:a", "gone"), message_uid("room:a", "here")
    await run_sql(database, "insert into forgotten_messages (uid) values (:uid)", uid=forgotten)
    outcomes = await store.save_many(
        [
            (PEOPLE[0], said("Lima", slug="a", sources=(other, forgotten))),
            (PEOPLE[0], said("Oslo", slug="b", sources=(other,))),
        ]
    )
    assert changes(outcomes) == ["ForgottenError", "created"]
    report = await kept(database)
    assert report.agrees()
    assert list(report.brain.values()) == ["Oslo"]


async def test_a_message_that_is_forgotten_while_its_memories_are_embedded_ahead_keeps_them_out(
    store: OpenSourceStore, database: Database, server: OpenAIServer
) -> None:
    ana, (forgotten, other) = PEOPLE[0], (message_uid("room:a", "gone"), message_uid("room:a", "here"))
    await store.save(ana, said("here", slug="first"))
    answer = asyncio.Event()
    server.fault = Held(answer)
    new = [(ana, said("Lima", slug="a", sources=(other, forgotten))), (ana, said("Oslo", slug="b", sources=(other,)))]
    saving = asyncio.create_task(store.save_many(new, are_new=True))
    while server.calls[EMBEDDINGS] < 2:
        await asyncio.sleep(0.01)
    await run_sql(database, "insert into forgotten_messages (uid) values (:uid)", uid=forgotten)
    server.fault = None
    answer.set()
    assert changes(await saving) == ["ForgottenError", "created"]
    report = await kept(database)
    assert report.agrees()
    assert sorted(report.brain.values()) == ["Oslo", "here"]


async def test_batches_that_overlap_never_lock_each_other_out(store: OpenSourceStore, database: Database) -> None:
    chance = random.Random(3)
    wanted: list[tuple[Owner, NewMemory]] = [
        (owner, said(f"{owner} {slug}", slug=f"s{slug}")) for owner in (*PEOPLE, ACME) for slug in range(8)
    ]
    await store.save(ACME, said("here", slug="first"))

    async def batch() -> list[Any]:
        mixed = chance.sample(wanted, 40)
        return await store.save_many(mixed)

    async def single() -> list[Any]:
        return [await store.save(*chance.choice(wanted))]

    found = await asyncio.gather(*(batch() if number % 2 else single() for number in range(24)))
    assert {change for outcomes in found for change in changes(outcomes)} == {"created", "unchanged"}
    assert (
        len([one for outcomes in found for one in changes(outcomes) if one == "created"])
        == len((await kept(database)).brain) - 1
    )
    assert (await kept(database)).agrees()


async def test_memories_of_one_owner_are_written_with_its_own_rights(
    store: OpenSourceStore, database: Database
) -> None:
    await store.save_many([(ACME, said("ours", slug=f"s{number}")) for number in range(3)])
    await store.save_many([(PEOPLE[0], said("mine", slug=f"s{number}")) for number in range(3)])
    report = await kept(database)
    assert report.agrees()
    assert len(report.brain) == 6


async def test_the_first_memories_of_a_database_make_its_tables(store: OpenSourceStore, database: Database) -> None:
    batches = [[(owner, said(f"{owner}")), (ACME, said("x", slug=f"{owner.id}"))] for owner in PEOPLE]
    found = await asyncio.gather(*(store.save_many(batch) for batch in batches))
    assert {change for outcomes in found for change in changes(outcomes)} == {"created"}
    assert (await kept(database)).agrees()
