"""A storm: people talk while every process is killed; then it is counted what became of what they said."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
from temporalio.client import Client

from services.postgres.database import Database
from tests.support.storm import afterwards, archived
from tests.support.storm.plan import Plan, faults
from tests.support.storm.producing import open_ways, produce
from tests.support.storm.report import Report
from tests.support.storm.servers import Servers, kept_alive, running_servers
from tests.support.storm.striking import strike
from tests.support.storm.talk import CANARY, Ledger
from workflows.names import PROCESS_ROOMS_SCHEDULE

Tell = Callable[[str], None]
_LEFT = (
    "select (select count(*) from rooms where chunked_seq < last_seq)"
    " + (select count(*) from chunks where state in ('waiting', 'extracted'))"
)


async def storm(plan: Plan, folder: Path, tell: Tell) -> Report:
    """Run it on an empty folder with a short path, in the main thread."""
    ledger, planned = Ledger(), faults(plan)
    async with running_servers(folder, plan) as servers:
        tell(f"seed {plan.seed}: {len(planned)} faults in {plan.seconds:.0f} s")
        async with (
            kept_alive(servers, plan.seed),
            open_ways(servers.through_links) as ways,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(produce(plan, ledger, ways))
            struck = await strike(servers, planned)
            tell(f"the storm is over: {dict(servers.kills)}")
        tell(f"{len(ledger.said)} messages said, all servers are back")
        settled_after = await _settle(servers, ledger, plan)
        tell("settled" if settled_after is not None else "not settled")
        return await _count(plan, servers, ledger, dict(struck), settled_after)


async def _settle(servers: Servers, ledger: Ledger, plan: Plan) -> float | None:
    """Wait until nothing is left to do; answer how long that took, None where it took too long."""
    began = time.monotonic()
    sweeps = (await Client.connect(servers.temporal.address)).get_schedule_handle(PROCESS_ROOMS_SCHEDULE)
    while time.monotonic() - began < plan.settle_seconds:
        if await _is_done(servers, ledger):
            return time.monotonic() - began
        if plan.sweeps_are_hurried:
            await sweeps.trigger()
        await asyncio.sleep(1)
    return None


async def _is_done(servers: Servers, ledger: Ledger) -> bool:
    if await afterwards.keys_left(servers.redis.url):
        return False
    connection = await asyncpg.connect(servers.postgres.url, timeout=30)
    try:
        if await connection.fetchval(_LEFT):
            return False
        if archived.lost(ledger, await archived.stored(connection)):
            return False
    finally:
        await connection.close()
    client = await Client.connect(servers.temporal.address)
    running = "WorkflowType in ('RoomMemory', 'RoomDigest') and ExecutionStatus = 'Running'"
    return (await client.count_workflows(running)).count == 0


async def _count(
    plan: Plan, servers: Servers, ledger: Ledger, struck: dict[str, int], settled_after: float | None
) -> Report:
    connection = await asyncpg.connect(servers.postgres.url, timeout=30)
    try:
        archive = await archived.stored(connection)
        paid = await afterwards.paid(connection, servers.model.answered)
        histories = await afterwards.histories(await Client.connect(servers.temporal.address))
        async with Database.open(servers.postgres.url) as database:
            receipts = await archived.bad_receipts(database, archive)
        quarantined = await connection.fetch("select kind, reason, room_id from quarantine")
        wrong = {
            "lost": archived.lost(ledger, archive),
            "doubled": archived.doubled(archive),
            "never said": archived.never_said(ledger, archive),
            "out of order": archived.out_of_order(ledger, archive),
            "rooms with numbers missing": archived.numbers_missing(archive),
            "quarantined": [f"{row['kind']} {row['reason']} {row['room_id']}" for row in quarantined],
            "chunks not digested once": await archived.chunk_faults(connection),
            "without a vector": [""] * await archived.without_vector(connection),
            "wrong receipts": receipts,
            "keys left": await afterwards.keys_left(servers.redis.url),
            "wrong memories": await afterwards.wrong_memories(connection, ledger),
            "paid for again after it was written down": paid.after_recorded,
            "histories too long": histories.too_long,
            "runs that failed": histories.failed,
            "content in Temporal": histories.with_content,
            "content in logs": afterwards.quoting(servers.logs, [CANARY]),
            "closed loops in logs": afterwards.quoting(servers.logs, ["Event loop is closed"]),
        }
        memories = await connection.fetchval("select count(*) from user_brain")
    finally:
        await connection.close()
    return Report(
        plan=plan,
        kills=dict(servers.kills),
        faults=struck,
        said=len(ledger.said),
        acknowledged=len(ledger.acknowledged),
        without_ids=sum(one.message.id is None for one in ledger.said),
        repeats=ledger.repeats,
        archived=len(archive),
        settled_after=settled_after,
        paid=paid,
        histories=histories,
        drift=await afterwards.drift(servers.postgres.url, servers.model.server.url),
        memories=int(memories),
        wrong=wrong,
    )
