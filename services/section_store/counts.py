"""Counts what reads found, and adds it up over processes and days."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert

from services.postgres.database import Database
from services.postgres.tables.sections import SectionCountRow

# `hits` came from Redis, `misses` had to be fetched, `bypassed` were fetched because a writer was at them or the cache
# was away or closed; `prefetched` entries were put there beforehand, `prefetched_hits` found one.
COUNTS = ("hits", "misses", "bypassed", "prefetched", "prefetched_hits", "stale_repaired")


class SectionCounts:
    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self._unsaved: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        if count:
            self.all[name] += count
            self._unsaved[name] += count

    @property
    def hit_rate(self) -> float | None:
        return hit_rate(self.all)

    async def save(self, database: Database) -> None:
        """Add what was counted since the last time to the day's sums."""
        unsaved, self._unsaved = self._unsaved, Counter()
        if not unsaved:
            return
        try:
            await _add(database, unsaved)
        except BaseException:
            self._unsaved.update(unsaved)
            raise


def hit_rate(counts: Mapping[str, int]) -> float | None:
    """Give the share of reads that Redis answered; None where nothing was read."""
    reads = sum(counts.get(name, 0) for name in ("hits", "misses", "bypassed"))
    return counts.get("hits", 0) / reads if reads else None


async def _add(database: Database, counts: Mapping[str, int]) -> None:
    today = datetime.now(UTC).date()
    wanted = insert(SectionCountRow).values(
        [{"day": today, "name": name, "count": counts[name]} for name in sorted(counts)]
    )
    summed = {"count": SectionCountRow.count + wanted.excluded["count"]}
    async with database.transaction() as session:
        await session.execute(wanted.on_conflict_do_update(index_elements=["day", "name"], set_=summed))
