"""Deletes what has ended, and says how much there is."""

from dataclasses import dataclass
from datetime import UTC, datetime

from afterturn_client.redis_connection import AnyRedis

from services.domain.sections import LEVELS
from services.postgres.database import Database
from services.postgres.sections.sizes import counts_since, owners_of_all, sizes
from services.section_store.cache import unavailable
from services.section_store.counts import SectionCounts, hit_rate
from services.section_store.keys import every_list
from services.section_store.removal import CommandRemoval
from services.section_store.results import SectionSize
from services.section_store.scanning import scan_all


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """How many were deleted; `more` says that there is more to delete."""

    commands: int
    sessions: int
    temporaries: int
    more: bool


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """All owners together. `counts` (of `counts.COUNTS`) and `hit_rate` are of the last days, over all processes."""

    sections: tuple[SectionSize, ...]
    owners: int
    counts: dict[str, int]
    hit_rate: float | None


class Upkeep:
    def __init__(
        self,
        redis: AnyRedis,
        database: Database,
        counts: SectionCounts,
        commands: CommandRemoval,
        *,
        history_length: int,
    ) -> None:
        self._redis = redis
        self._commands = commands
        self._database = database
        self._counts = counts
        self._history_length = history_length

    async def clean_up(self, *, limit: int) -> CleanedUp:
        """Delete commands beyond the newest of each owner, and what lists still name of what has ended in Redis."""
        commands = await self._commands.beyond(self._history_length, limit=limit)
        sessions = await self._drop_ended("sessions")
        temporaries = await self._drop_ended("temporaries")
        return CleanedUp(commands, sessions, temporaries, more=commands >= limit)

    async def statistics(self, *, days: int) -> StoreStatistics:
        await self._counts.save(self._database)
        async with self._database.transaction() as session:
            kept = await sizes(session, None)
            owners = await owners_of_all(session)
            counts = await counts_since(session, days)
        sections = tuple(
            SectionSize(one.section, LEVELS[one.section], one.values, one.raw_bytes, one.stored_bytes) for one in kept
        )
        return StoreStatistics(sections, owners, counts, hit_rate(counts))

    async def _drop_ended(self, kind: str) -> int:
        now = int(datetime.now(UTC).timestamp() * 1000)
        ended = 0
        for key in await scan_all(self._redis, every_list(kind)):
            with unavailable():
                ended += int(await self._redis.zremrangebyscore(key, "-inf", now))
        return ended
