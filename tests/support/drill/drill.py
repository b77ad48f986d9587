"""A drill: everybody talks, copies are made at two moments, servers are lost, and what came back is counted."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from afterturn_client.memory_client import MemoryClient
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus

from services.domain.memories import owner_of
from services.operations.backfills import Backfills
from services.resources import Resources, open_resources
from services.worker.run import running_workers
from tests.support.canaries import in_postgres, in_redis
from tests.support.drill.talk import (
    ALIKE,
    WITH_IDS,
    WITHOUT_IDS,
    Ledger,
    archived,
    everybody_talks,
    out_of_order,
    push,
    sweep,
    waiting,
)
from tests.support.drill.world import World
from tests.support.forgetting import forget
from tests.support.main_job import RECORD_SECONDS
from tests.support.mem0_server import Mem0Server
from tests.support.memories_kept import kept
from tests.support.remembering import Finding
from tests.support.rooms import keys_left, until_digested

# Who is forgotten between the copies, and who after both.
EARLY, LATE = "earlycanary", "latecanary"
ANA = owner_of("user", "ana")
FINDINGS = [
    Finding("collect red boats", "The user collects red boats.", slug="boats"),
    Finding("keep bees", "The user keeps bees.", slug="bees"),
]
_SETTLE_SECONDS = 60
# Much less than a room must be quiet to be archived.
_EARLY_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Plan:
    """`first` is what is copied first, `lost` what is destroyed and restored, up to its end or to its copy."""

    first: Literal["redis", "postgres"]
    lost: tuple[Literal["redis", "postgres"], ...] = ("redis", "postgres")
    seconds: float = 0.6
    nothing_is_lost: bool = False


@dataclass
class Moments:
    """What was so at the copies, and at the end."""

    ledger: Ledger = field(default_factory=Ledger)
    first_copy: float = 0.0
    version: int = 0
    in_postgres: list[tuple[str, str]] = field(default_factory=list)
    in_redis: set[tuple[str, str]] = field(default_factory=set)


async def live(world: World, plan: Plan, moments: Moments) -> None:
    """Let everybody talk until the servers are lost, with both copies made on the way."""
    ledger, redis_first = moments.ledger, plan.first == "redis"
    copies = [world.copy_redis, world.copy_postgres] if redis_first else [world.copy_postgres, world.copy_redis]
    async with (
        open_resources() as resources,
        MemoryClient.connect(seconds=RECORD_SECONDS) as memory,
        running_workers(),
    ):
        await _prepare(resources, memory)
        async with everybody_talks(resources, memory, ledger):
            await asyncio.sleep(plan.seconds)
            await push(resources.redis, ALIKE, "ok", "ok", "ok")
            moments.first_copy = time.monotonic()
            await _while_early_talks(resources, memory, copies[0])
            if world.with_first_copy:
                await world.with_first_copy()
            await asyncio.sleep(plan.seconds)
        await _set_and_read(resources, "between")
        await forget(resources, "user", "early")
        async with everybody_talks(resources, memory, ledger):
            await asyncio.sleep(plan.seconds)
            await copies[1]()
            await asyncio.sleep(plan.seconds)
        await _go_on(resources, memory, moments)
        await world.write_down_who_was_forgotten()


async def lose_and_restore(world: World, plan: Plan, moments: Moments, *, more: str = "") -> dict[str, Any]:
    """Destroy and restore by the page; answer what `afterturn restored` said."""
    await world.keep_aside_who_was_forgotten()
    if "redis" in plan.lost:
        await world.destroy_redis()
        await world.restore_redis()
    if "postgres" in plan.lost:
        await world.destroy_postgres()
        await world.restore_postgres()
    async with open_resources() as resources:
        moments.in_postgres = await archived(resources)
        moments.in_redis = await waiting(resources.redis)
    # A job that goes on writes down what the restored database knows.
    await world.write_down_who_was_forgotten()
    said = await world.afterwards(redis_was_restored="redis" in plan.lost, more=more)
    found: dict[str, Any] = json.loads(said)
    return found


async def count(world: World, plan: Plan, moments: Moments, *, mem0: Mem0Server | None) -> None:
    """Work again, and see that all of it is as it should be."""
    async with (
        open_resources() as resources,
        MemoryClient.connect(seconds=RECORD_SECONDS) as memory,
        running_workers(),
    ):
        for room in WITH_IDS:
            await memory.record_turn(room, user="number 9999 is new", assistant="Noted.", user_id="ana", turn_id="new")
        await _settled(resources)
        await _messages_are_right(resources, plan, moments)
        await _forgotten_are_gone(resources)
        await _sections_are_right(resources, plan, moments)
        await _memories_agree(resources, mem0)
        await _nothing_is_at_work(resources)


async def _prepare(resources: Resources, memory: MemoryClient) -> None:
    await push(resources.redis, ALIKE, "ok", "ok")
    await memory.record_turn("user:ben", user="I collect red boats.", assistant="Noted.", turn_id="boats")
    await memory.record_turn("user:late", user=f"I collect red boats, {LATE}.", assistant="Noted.", turn_id="l")
    await _set_and_read(resources, "first")
    await resources.sections.set_temporary(ANA, "code", "4711", ttl_seconds=600)
    for room in ("user:ben", "user:late"):
        await until_digested(resources, room, 2)
    await sweep(resources)
    await until_digested(resources, ALIKE, 2)


async def _while_early_talks(
    resources: Resources, memory: MemoryClient, copy: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Make a copy of a room that is not quiet, and so not archived, however long the copy takes."""
    said = f"I am {EARLY}."
    await memory.record_turn("user:early", user=said)
    await push(resources.redis, "user:early", said)
    async with asyncio.TaskGroup() as tasks:
        copying = tasks.create_task(copy())
        while not copying.done():
            await asyncio.wait([copying], timeout=_EARLY_PAUSE_SECONDS)
            await memory.record_turn("user:early", user=said)


async def _go_on(resources: Resources, memory: MemoryClient, moments: Moments) -> None:
    """What neither copy knows."""
    await resources.sections.delete(ANA, "temporary", "code")
    moments.version = await _set_and_read(resources, "last")
    await memory.record_turn("user:ben", user="I keep bees.", assistant="Noted.", turn_id="bees")
    await memory.record_turn("user:unknown", user="I keep bees.", assistant="Noted.", turn_id="bees")
    await until_digested(resources, "user:unknown", 2)
    backfills = Backfills(resources.temporal)
    await backfills.start_one("user", "ben")
    assert (await backfills.wait("load-user-memories:ben")).state == "done"
    await forget(resources, "user", "late")


async def _set_and_read(resources: Resources, value: str) -> int:
    """Set a preference, and have Redis hold it; answer its version."""
    written = await resources.sections.set_user_preference(ANA, "theme", value)
    assert (await resources.sections.get_user_preference(ANA, "theme")) is not None
    return written.version


async def _settled(resources: Resources) -> None:
    """Wait until nothing is left in Redis and nothing to digest, and nobody is being forgotten."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        while await keys_left(resources) or await resources.rooms.undigested() or await _at_work(resources):
            await sweep(resources)
            await asyncio.sleep(0.3)


async def _messages_are_right(resources: Resources, plan: Plan, moments: Moments) -> None:
    found = await archived(resources)
    counted = Counter(one for one in found if one[0] in (*WITH_IDS, *WITHOUT_IDS) and one[1].startswith("number "))
    doubled = [one for one, times in counted.items() if times > 1]
    assert doubled == []
    assert set(counted) <= moments.ledger.all | {(room, "number 9999 is new") for room in WITH_IDS}
    copied = {one for one in {*moments.in_postgres, *moments.in_redis} if one[1].startswith("number ")}
    assert copied - set(counted) == set(), "what a copy had is lost"
    if plan.first == "redis" or "postgres" not in plan.lost or plan.nothing_is_lost:
        moment = time.monotonic() if plan.nothing_is_lost else moments.first_copy
        lost = moments.ledger.before(moment) - set(counted)
        assert lost == set(), "what was acknowledged before the copies is lost"
        assert [content for room, content in found if room == ALIKE] == ["ok"] * 5
    assert out_of_order(found) == []
    assert {(room, "number 9999 is new") for room in WITH_IDS} <= set(counted)
    assert await resources.quarantine.list_open() == []


async def _forgotten_are_gone(resources: Resources) -> None:
    assert await in_postgres(resources, [EARLY, LATE]) == []
    assert [*await in_redis(resources, EARLY), *await in_redis(resources, LATE)] == []


async def _sections_are_right(resources: Resources, plan: Plan, moments: Moments) -> None:
    copied = "first" if plan.first == "postgres" else "between"
    stands = copied if "postgres" in plan.lost and not plan.nothing_is_lost else "last"
    theme = await resources.sections.get_user_preference(ANA, "theme")
    assert theme is not None
    assert theme.value == stands
    assert await resources.sections.get_temporary(ANA, "code") is None
    # A version that somebody may hold is never that of something else.
    assert (await resources.sections.set_user_preference(ANA, "theme", "third")).version > moments.version


async def _memories_agree(resources: Resources, mem0: Mem0Server | None) -> None:
    assert resources.memory_store is not None
    async with asyncio.timeout(_SETTLE_SECONDS):
        while (await resources.memory_store.reconcile(None, limit=1_000)).drift:
            await asyncio.sleep(0.3)
    if mem0 is None:
        assert (await kept(resources.database)).agrees()
        return
    brain = await _brain(resources)
    assert sorted((one.metadata["slug"], one.id) for one in mem0.memories.by_id.values()) == sorted(brain)


async def _brain(resources: Resources) -> Sequence[tuple[str, str]]:
    async with resources.database.transaction() as session:
        rows = await session.execute(text("select slug, memory_id from user_brain"))
        return [(row.slug, row.memory_id) for row in rows]


async def _nothing_is_at_work(resources: Resources) -> None:
    async with asyncio.timeout(_SETTLE_SECONDS):
        while await _at_work(resources):
            await asyncio.sleep(0.3)
    failed = resources.temporal.list_workflows("ExecutionStatus = 'Failed'")
    assert [run.id async for run in failed] == []


async def _at_work(resources: Resources) -> list[str]:
    running = resources.temporal.list_workflows("ExecutionStatus = 'Running'")
    found = [run.id async for run in running if run.status is WorkflowExecutionStatus.RUNNING]
    return [id_ for id_ in found if not id_.startswith("temporal-sys")]
