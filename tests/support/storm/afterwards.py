"""Counts what else a storm must not change: keys, memories, what was paid for, histories, and what logs say."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import asyncpg
from redis.asyncio import Redis
from temporalio.client import Client, WorkflowExecutionStatus

from services.domain.memories import owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from tests.support.main_job import EMBEDDING_MODEL
from tests.support.memories_kept import kept
from tests.support.storm.model import Answered, keeps
from tests.support.storm.talk import CANARY, Ledger

MOST_EVENTS = 200
# What the section store keeps in Redis is a cache, and documented as one.
_CACHES = (b"section:",)


async def keys_left(redis_url: str) -> list[str]:
    """Give every key that is no cache."""
    async with Redis.from_url(redis_url) as redis:
        return [repr(key) async for key in redis.scan_iter() if not key.startswith(_CACHES)]


async def drift(database_url: str, model_url: str) -> int:
    """Count on what Mem0 and the brain do not agree; -1 where they look alike to it and are not."""
    async with (
        Database.open(database_url) as database,
        ModelClient.open(model_url) as model,
        OpenSourceStore.open(database_url, model, EMBEDDING_MODEL) as store,
    ):
        page = await store.reconcile(None, limit=1_000_000, repair=False)
        agrees = (await kept(database)).agrees()
    return page.drift if agrees or page.drift else -1


async def wrong_memories(connection: "asyncpg.Connection[asyncpg.Record]", ledger: Ledger) -> list[str]:
    """Give each memory that is not what its owner said last, of all that was archived."""
    rows = await connection.fetch("select content, sent_at from messages")
    said_at: dict[str, datetime] = {row["content"]: row["sent_at"] for row in rows}
    last: dict[tuple[str, str], tuple[datetime, str]] = {}
    for message in (one.message for one in ledger.said):
        found = keeps(message.content)
        if found is not None and message.content in said_at:
            key = (str(owner_of("user", message.user_id or "").id), f"keeps_{found[0]}")
            said = (said_at[message.content], found[1])
            last[key] = max(last.get(key, said), said)
    rows = await connection.fetch("select user_id::text, slug, content from user_brain")
    stands = {(row["user_id"], row["slug"]): row["content"] for row in rows}
    expected = {key: sentence for key, (_, sentence) in last.items()}
    return [f"{key}" for key in stands.keys() | expected.keys() if stands.get(key) != expected.get(key)]


@dataclass(frozen=True, slots=True)
class Paid:
    """How many answers were given, how many of them more than once, and how many after the answer was written down."""

    answers: int
    given_again: int
    most_for_one: int
    after_recorded: list[str]


async def paid(connection: "asyncpg.Connection[asyncpg.Record]", answered: Sequence[Answered]) -> Paid:
    """Compare what the model answered with what is written down, by chunk and step."""
    rows = await connection.fetch(
        "select m.content, c.id::text as chunk from messages m join chunks c"
        " on c.room_id = m.room_id and m.seq between c.first_seq and c.last_seq and c.state <> 'split'"
    )
    chunks = {row["content"][:7]: row["chunk"] for row in rows}
    recorded = {
        (row["chunk"], row["step"]): row["created_at"]
        for row in await connection.fetch("select chunk_id::text as chunk, step, created_at from model_answers")
    }
    times: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for one in answered:
        times[chunks.get(one.tag, one.tag), one.step].append(one.at)
    late = [
        f"{chunk} {step}"
        for (chunk, step), moments in times.items()
        for moment in moments
        if (chunk, step) in recorded and moment > recorded[chunk, step]
    ]
    counts = [len(moments) for moments in times.values()]
    return Paid(len(answered), len(answered) - len(counts), max(counts, default=0), late)


@dataclass
class Histories:
    runs: int = 0
    longest: int = 0
    longest_id: str = ""
    too_long: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    at_work: list[str] = field(default_factory=list)
    with_content: list[str] = field(default_factory=list)


async def histories(temporal: Client) -> Histories:
    """Read every run's history: its length, how it ended, and whether it quotes anybody."""
    found = Histories()
    async for run in temporal.list_workflows():
        handle = temporal.get_workflow_handle(run.id, run_id=run.run_id)
        history = await handle.fetch_history()
        found.runs += 1
        name = f"{run.id}/{run.run_id}"
        if len(history.events) > found.longest:
            found.longest, found.longest_id = len(history.events), name
        if len(history.events) >= MOST_EVENTS:
            found.too_long.append(f"{name}: {len(history.events)}")
        if run.status == WorkflowExecutionStatus.RUNNING:
            found.at_work.append(name)
        elif run.status not in (WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CONTINUED_AS_NEW):
            found.failed.append(f"{name}: {run.status.name if run.status else 'unknown'}")
        if CANARY in history.to_json() or CANARY in str(await handle.describe()):
            found.with_content.append(name)
    return found


def quoting(files: Iterable[Path], words: Iterable[str]) -> list[str]:
    """Give the files that hold one of these words, with it."""
    wanted = list(words)
    found = Counter[str]()
    for path in files:
        said = path.read_bytes()
        found.update({f"{path.name}: {word}": said.count(word.encode()) for word in wanted if word.encode() in said})
    return [f"{where} ({times})" for where, times in found.items()]
