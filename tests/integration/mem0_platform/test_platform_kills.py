"""Promise 6 on the hosted platform: whatever is killed wherever, two reconciliations later Mem0 and the brain agree."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.domain.memories import Owner, owner_of
from services.postgres.database import Database
from tests.support.mem0_server import Asked, Fault, Html, Late, Mem0Server, Reset, Slow, Status
from tests.support.platform_store import Servers, brain_of, open_platform, reconciled

ROOT = Path(__file__).parents[3]
# In the storm a worker's lease should end soon after its death; where each death is aimed at, nothing may time out.
ANSWER_SECONDS = 0.4
UNHURRIED_SECONDS = 20.0
WRITES = 1_000
OWNERS = [owner_of("user", f"user-{number}") for number in range(8)]
OWNERS += [owner_of("company", f"company-{number}") for number in range(4)]
LEAVING = [owner_of("user", "leaving"), owner_of("company", "leaving")]
# One more than any save has that nothing disturbs.
BOUNDARIES = 14


@dataclass
class Workers:
    process: asyncio.subprocess.Process
    outcomes: dict[int, asyncio.Future[str]] = field(default_factory=dict)
    number: int = 0

    async def do(
        self,
        memories: Sequence[dict[str, Any]],
        *,
        fatal: int | None,
        answer_seconds: float = UNHURRIED_SECONDS,
        closed_loops: float = 0.0,
    ) -> str:
        self.number += 1
        job: dict[str, Any] = {"number": self.number, "fatal": fatal, "memories": memories}
        job |= {"answer_seconds": answer_seconds, "closed_loops": closed_loops}
        outcome = self.outcomes[self.number] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        ended: str = await outcome
        return ended

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            ended = json.loads(line)
            self.outcomes.pop(ended["number"]).set_result(ended["outcome"])


@asynccontextmanager
async def workers(servers: Servers) -> AsyncIterator[Workers]:
    command = (sys.executable, "-m", "tests.support.mortal_workers", json.dumps(asdict(servers)))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    listening = None
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"serving\n"
        listening = asyncio.create_task((opened := Workers(process)).listen())
        yield opened
    finally:
        process.kill()
        await process.wait()
        if listening:
            await listening


def misbehaving(chance: random.Random) -> Callable[[Asked], Fault | None]:
    """One request in twelve goes wrong in some way."""
    ways: list[Callable[[], Fault]] = [
        lambda: Late(chance.uniform(0.1, 1.0)),
        lambda: Late(chance.uniform(0.1, 1.0), 503),
        lambda: Reset("before"),
        lambda: Reset("after"),
        lambda: Status(500),
        lambda: Status(503, "0"),
        lambda: Status(429, "0"),
        Html,
        lambda: Slow(2 * ANSWER_SECONDS),
    ]
    return lambda _: chance.choice(ways)() if chance.random() < 0.08 else None


def memory(owner: Owner, slug: str, content: str | None, day: int) -> dict[str, Any]:
    return {"owner_type": owner.type, "owner_id": str(owner.id), "slug": slug, "content": content, "day": day}


def writes(chance: random.Random, owners: Sequence[Owner], count: int, slugs: int) -> list[dict[str, Any]]:
    """Writes, updates and deletions, of which the newest decides; many of the texts are equal."""
    made = []
    for day in range(count):
        content = None if chance.random() < 0.2 else f"The answer is {chance.randrange(12)}."
        made.append(memory(chance.choice(owners), f"slug-{chance.randrange(slugs)}", content, day))
    return made


def newest(made: Sequence[dict[str, Any]], owner: Owner) -> dict[str, str]:
    mine = [each for each in made if (each["owner_type"], each["owner_id"]) == (owner.type, str(owner.id))]
    stands = {each["slug"]: each["content"] for each in sorted(mine, key=lambda each: each["day"])}
    return {slug: content for slug, content in stands.items() if content is not None}


async def share_ruts(database: Database) -> None:
    """Every company is a sole trader's, who has the same RUT."""
    async with database.transaction() as session:
        await session.execute(text("set local role none"))
        for number in range(4):
            for table, owner in (("profiles", OWNERS[number]), ("companies", OWNERS[8 + number])):
                await session.execute(
                    text(f"insert into {table} (id, rut) values (:id, :rut)"),  # noqa: S608
                    {"id": owner.id, "rut": f"1111111{number}"},
                )


async def until_done(at: Workers, job: Sequence[dict[str, Any]], chance: random.Random) -> int:
    """Do a job as Temporal would: whenever its worker is killed another one takes over. Gives the deaths."""
    deaths = 0
    while True:
        fatal = chance.randrange(2, 7 * len(job)) if deaths == 0 else None
        outcome = await at.do(job, fatal=fatal, answer_seconds=ANSWER_SECONDS, closed_loops=0.03)
        if outcome == "done":
            return deaths
        assert outcome == "died"
        deaths += 1


async def check_agreement(mem0: Mem0Server, database: Database, owner: Owner) -> dict[str, str]:
    """Every brain record has one memory in Mem0 that says the same, and every memory of ours a record."""
    brain = await brain_of(database, owner)
    marked = {"scope": owner.type, "owner_id": str(owner.id)}
    ours = {one.id: one for one in mem0.memories.by_id.values() if marked.items() <= one.metadata.items()}
    assert sorted(ours) == sorted(brain.memory_ids.values())
    for slug, memory_id in brain.memory_ids.items():
        assert ours[memory_id].metadata["slug"] == slug
        assert ours[memory_id].memory.partition("\n[")[0] == brain.contents[slug]
    assert brain.intents == []
    return brain.contents


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(420)
async def test_a_thousand_writes_with_workers_killed_at_every_boundary(
    servers: Servers, mem0: Mem0Server, database: Database
) -> None:
    chance = random.Random(6)
    await share_ruts(database)
    foreign = [mem0.memories.plant("somebody else's", entity, {"slug": "slug-1"}) for entity in ("11111110", "other")]
    foreign_before = [one.seen() for one in foreign]
    mem0.memories.deduplicates, mem0.memories.list_lag = "answers the one that stands", 0.3
    made = writes(chance, OWNERS, WRITES, slugs=30)
    few = asyncio.Semaphore(4)

    async with workers(servers) as at:

        async def job(start: int) -> int:
            async with few:
                return await until_done(at, made[start : start + 25], chance)

        async def cut_off(what: str, fatal: int) -> str:
            async with few:
                content = None if what == "end" else f"The answer is {what} {fatal}."
                return await at.do([memory(LEAVING[0], f"{what}-{fatal}", content, 1)], fatal=fatal)

        standing = [
            memory(LEAVING[0], f"{what}-{fatal}", f"The question is {what} {fatal}.", 0)
            for what in ("update", "end")
            for fatal in range(1, BOUNDARIES + 1)
        ]
        assert await at.do(standing, fatal=None) == "done"
        for what in ("create", "update", "end"):
            outcomes = await asyncio.gather(*(cut_off(what, fatal) for fatal in range(1, BOUNDARIES + 1)))
            deaths = outcomes.count("died")
            assert outcomes == ["died"] * deaths + ["done"] * (len(outcomes) - deaths)
            assert 9 <= deaths < BOUNDARIES, what

        mem0.fault = misbehaving(chance)
        deaths_at_work = sum(await asyncio.gather(*(job(start) for start in range(0, WRITES, 25))))
        assert deaths_at_work > WRITES // 50
        last = [memory(owner, f"slug-{number}", "The answer is 1.", 0) for number in range(20) for owner in LEAVING]
        await at.do(last, fatal=60)
        mem0.fault = lambda _: None
        await mem0.landed()

    async with database.transaction() as session:
        await session.execute(text("set local role none"))
        await session.execute(text("delete from companies where id = :id"), {"id": LEAVING[1].id})
        # All the workers are dead; it is as if their leases had run out.
        await session.execute(text("update mem0_intents set lease_until = now()"))
    await asyncio.sleep(mem0.memories.list_lag)
    async with open_platform(servers, answer_seconds=10.0) as store:
        first = await reconciled(store)
        second = await reconciled(store)
        third = await reconciled(store, repair=False)

    assert first.drift > 0
    assert second.drift <= first.drift
    assert third.drift == 0
    for owner in OWNERS:
        assert await check_agreement(mem0, database, owner) == newest(made, owner), owner
    await check_agreement(mem0, database, LEAVING[0])
    assert await check_agreement(mem0, database, LEAVING[1]) == {}
    assert [one.seen() for one in foreign] == foreign_before
    assert all(one.id in mem0.memories.by_id for one in foreign)
