"""Deletes what is past its retention, a bounded batch at a time, and never what is still needed.

Kept whatever their age: what is open in quarantine, the answers of chunks that are not digested or may be redriven,
merges that were undone, and what is left to do in Mem0, which `ReconcileMem0` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, text

from services.postgres.database import Database
from services.postgres.upkeep.retention import since


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a batch is deleted. `owner` is how the columns of the row's tenant begin, where it has one."""

    sql: str
    owner: str | None = None

    def statement(self, table: str) -> str:
        return self.sql.replace("{since}", since(table, self.owner))


# By table, in the order in which they are cleaned. A row that somebody is at work on is left to the next time.
_RULES = {
    "quarantine": _Rule(
        """
        delete from quarantine where id in (
            select item.id from quarantine as item left join rooms on rooms.id = item.room_id
            where item.state = 'redriven' and item.redriven_at < {since}
            limit :limit for update of item skip locked
        )""",
        owner="rooms.owner",
    ),
    "model_answers": _Rule(
        """
        delete from model_answers where ctid in (
            select answer.ctid from model_answers as answer
            join chunks on chunks.id = answer.chunk_id join rooms on rooms.id = chunks.room_id
            where chunks.state in ('digested', 'split') and answer.created_at < {since}
            order by answer.created_at limit :limit for update of answer skip locked
        )""",
        owner="rooms.owner",
    ),
    "idempotency_keys": _Rule(
        """
        delete from idempotency_keys where ctid in (
            select ctid from idempotency_keys where created_at < {since}
            order by created_at limit :limit for update skip locked
        )"""
    ),
    # Only its row tells that what was undone must not be merged again.
    "memory_merges": _Rule(
        """
        delete from memory_merges where id in (
            select id from memory_merges where done_at is not null and undone_at is null and planned_at < {since}
            order by planned_at limit :limit for update skip locked
        )"""
    ),
    # What waits is told, or goes with a webhook that has ended.
    "outbox": _Rule(
        """
        delete from outbox where seq in (
            select event.seq from outbox as event
            join webhooks on webhooks.id = event.webhook_id
            where event.state <> 'waiting' and event.ended_at < {since}
            or not webhooks.active and event.occurred_at < {since}
            limit :limit for update of event skip locked
        )"""
    ),
    "analyses": _Rule("delete from analyses where day in (select day from analyses where day < {since} limit :limit)"),
}
TABLES = tuple(_RULES)


class CleanUp:
    def __init__(self, database: Database, days: Mapping[str, int]) -> None:
        self._database = database
        self._days = days

    async def clean(self, table: str, *, limit: int) -> int:
        """Delete up to `limit` rows of a table that are past their retention; answer how many."""
        rule = text(_RULES[table].statement(table))
        async with self._database.transaction() as session:
            done = await session.execute(rule, {"days": self._days[table], "limit": limit})
            return cast("CursorResult[Any]", done).rowcount
