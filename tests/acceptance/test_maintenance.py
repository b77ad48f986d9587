"""The workflows of maintenance, on a worker with everything."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from activities.maintenance_steps import AnalysisTaken, CleanedUp, Optimized, Synced
from services.domain.memories import NewMemory, owner_of
from services.domain.sections import Section, bucket_of
from services.postgres.sections.values import Packed, Record, epochs
from services.postgres.upkeep.retention import Retentions
from services.resources import Resources
from services.section_store.keys import every_key, read_slot_key, slot_key, temporaries_key
from services.section_store.packing import entry_of
from services.section_store.scanning import scan_all
from services.section_store.store import SectionStore
from tests.support.memories_kept import kept, run_sql
from tests.support.old_rows import OldRows
from tests.support.openai_server import OpenAIServer, Status
from tests.support.rooms import until_digested
from tests.support.tenants import NOON
from workflows.names import MEMORY_QUEUE

ANA = owner_of("user", "ana")
pytestmark = pytest.mark.usefixtures("by_hand_alone", "worker")


async def run(resources: Resources, workflow: str, result_type: type[Any], given: object = None) -> Any:
    return await resources.temporal.execute_workflow(
        workflow,
        given or {},
        id=f"{workflow}-by-hand",
        task_queue=MEMORY_QUEUE,
        result_type=result_type,
        execution_timeout=timedelta(seconds=60),
    )


async def test_a_clean_up_removes_what_is_done_with_and_says_how_much(resources: Resources) -> None:
    rows = OldRows(resources.database)
    await rows.room("user:ana", ANA)
    # One that waits would be digested by the next sweep.
    for state in ("digested", "digested", "quarantined"):
        await rows.answered("user:ana", state, days=400)
    await rows.held("redriven", days=400)
    held = await rows.held("open", days=400)
    done = await run(resources, "CleanUpMemory", CleanedUp)
    assert (done.removed["model_answers"], done.removed["quarantine"]) == (2, 1)
    assert await rows.ids("quarantine") == {held}
    again = await run(resources, "CleanUpMemory", CleanedUp)
    assert set(again.removed.values()) == {0}


async def test_a_tenants_retention_is_kept_to_for_messages_and_commands(
    resources: Resources, memory: MemoryClient
) -> None:
    await memory.record_turn("user:ana", user="I moved to Lima.", assistant="Noted!")
    await until_digested(resources, "user:ana", 2)
    await resources.sections.add_command_history(ANA, "undo")
    for table, column in (("messages", "archived_at"), ("section_commands", "added_at")):
        await run_sql(resources.database, f"update {table} set {column} = now() - interval '40 days'")  # noqa: S608
    first = await run(resources, "CleanUpMemory", CleanedUp)
    assert (first.removed["messages"], first.removed["command_history"]) == (0, 0)
    for table in ("messages", "command_history"):
        await Retentions(resources.database).set(ANA, table, 30)
    done = await run(resources, "CleanUpMemory", CleanedUp)
    assert (done.removed["messages"], done.removed["summaries"], done.removed["command_history"]) == (2, 2, 1)
    assert (await resources.sections.get_command_history(ANA)).items == ()


async def test_a_session_is_warmed_when_its_first_turn_is_archived(resources: Resources, memory: MemoryClient) -> None:
    """Whoever writes to Redis alone has its turns read by the worker first."""
    await resources.sections.set_user_preference(ANA, "theme", "dark")
    for key in await scan_all(resources.redis, every_key()):
        await resources.redis.unlink(key)
    await memory.record_turn("user:ana", user="Hello!", assistant="Hi!")
    async with asyncio.timeout(30):
        while not any(read_slot_key(key) for key in await scan_all(resources.redis, every_key())):
            await asyncio.sleep(0.05)


async def test_an_optimisation_merges_and_analyses(resources: Resources) -> None:
    assert resources.memory_store is not None
    for number, (slug, said) in enumerate((("city", "The user lives in Lima"), ("home", "I live in Lima"))):
        at = datetime(2026, 1, 1 + number, tzinfo=UTC)
        await resources.memory_store.save(ANA, NewMemory(slug, said, at, made_by="model"))
    large = await resources.sections.set_user_preference(ANA, "notes", "word " * 1_000)
    as_json = "update section_values set value = to_jsonb(repeat('word ', 1000))::text::bytea, is_compressed = false"
    await run_sql(resources.database, as_json)
    # As a run goes on that was past these values when its history had become long.
    rest = {"after": "packing:redis:", "found": {"owners": 7}}
    done = await run(resources, "OptimizeMemory", Optimized, rest)
    assert (done.owners, done.merged, done.packed) == (7, 0, 0)
    done = await run(resources, "OptimizeMemory", Optimized)
    assert await resources.sections.get_user_preference(ANA, "notes") == large
    assert (done.merged, done.dropped, done.packed) == (1, 0, 1)
    assert done.saved_bytes > 4_000
    assert [memory.slug for memory in await resources.brain.get_all_by_user(ANA.id)] == ["city"]
    assert (await kept(resources.database)).agrees()
    again = await run(resources, "OptimizeMemory", Optimized)
    assert (again.merged, again.packed, again.saved_bytes) == (0, 0, 0)


async def test_a_synchronisation_finds_nothing_where_all_agrees(resources: Resources) -> None:
    await resources.sections.set_user_preference(ANA, "theme", "dark")
    done = await run(resources, "SyncMemory", Synced)
    assert done.counters == 0
    assert done.sections["stale"] == 0


async def test_after_a_flush_redis_is_healed_and_what_lies_about_goes(
    resources: Resources, model: OpenAIServer
) -> None:
    """Redis loses all, and a copy of before comes back in part; a fact was never embedded; former vectors are left."""
    redis, sections = resources.redis, resources.sections
    await sections.get_user_preference(ANA, "theme")
    await sections.set_user_preference(ANA, "theme", "dark")
    await sections.set_session_state(ANA, "s1", "step", 1)
    model.refuses = lambda request: Status(503) if "input" in request else None
    await sections.store_fact(ANA, "city", "Lima")
    model.refuses = None
    async with resources.database.transaction() as session:
        former = "insert into section_vectors select id, 'former', version, '[1]' from section_values where body <> ''"
        await session.execute(text(former))
    copy = {key: await redis.dump(key) or b"" for key in await scan_all(redis, every_key())}
    slot = next(key for key, held in copy.items() if read_slot_key(key) and b"dark" in held)
    await redis.flushall()
    async with asyncio.timeout(30):
        while await current_slot(resources, slot) == slot:
            assert await seen(sections, "theme") == "dark"
            await asyncio.sleep(0.05)
    await sections.set_user_preference(ANA, "theme", "light")
    for key, held in copy.items():
        await redis.restore(key, 0, held, replace=True)
    lying = await current_slot(resources, slot)
    await redis.set(lying, entry_of(Record(Packed(b'"dark"', is_compressed=False, raw_size=6), 1, NOON)))

    done = await run(resources, "SyncMemory", Synced)
    assert {name: done.sections[name] for name in ("stale", "embedded", "dropped")} == {
        "stale": 1,
        "embedded": 1,
        "dropped": 1,
    }
    assert done.sections["ended"] >= 1
    assert await redis.exists(slot) == 0
    assert await seen(sections, "theme") == "light"
    again = (await run(resources, "SyncMemory", Synced)).sections
    assert {name: again[name] for name in again if name != "checked"} == dict.fromkeys(again.keys() - {"checked"}, 0)


async def test_a_clean_up_trims_what_has_ended_in_the_section_store(resources: Resources) -> None:
    for number in range(3):
        await resources.sections.set_temporary(ANA, f"code{number}", number, ttl_seconds=0.001)
    await asyncio.sleep(0.01)
    # A list whose values have all ended goes by itself; this one has another that stands.
    await resources.sections.set_temporary(ANA, "standing", 1, ttl_seconds=60)
    await resources.redis.zadd(temporaries_key(ANA), {"default\nleft": 1})
    done = await run(resources, "CleanUpMemory", CleanedUp)
    assert done.removed["temporaries"] == 1
    assert await seen(resources.sections, "standing", "temporary") == 1


async def seen(sections: SectionStore, key: str, section: Section = "user_preferences") -> object:
    found = await sections.get(ANA, section, key)
    return found and found.value


async def current_slot(resources: Resources, former: str) -> str:
    """Name the slot of the same value in the epoch that has begun since."""
    async with resources.database.transaction() as session:
        standing = await epochs(session)
    slot = read_slot_key(former)
    assert slot is not None
    return slot_key(ANA, standing[bucket_of(ANA)].epoch, slot[1])


async def test_an_analysis_is_kept(resources: Resources) -> None:
    before = datetime.now(UTC).date().isoformat()
    taken = await run(resources, "AnalyzeMemory", AnalysisTaken)
    assert before <= taken.day <= datetime.now(UTC).date().isoformat()


@pytest.mark.parametrize("workflow", ["CleanUpMemory", "OptimizeMemory", "SyncMemory", "AnalyzeMemory"])
async def test_an_unknown_field_is_refused_at_once(workflow: str, resources: Resources) -> None:
    with pytest.raises(WorkflowFailureError):
        await run(resources, workflow, dict, {"everything": True})
