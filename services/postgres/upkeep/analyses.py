"""Counts the figures of an analysis, each by one statement that may take only so long, and keeps them by day."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Text, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import TransientError
from services.postgres.database import STATEMENT_SECONDS, Database
from services.postgres.tables.maintenance import AnalysisRow

# Less than the pool's own limit: the server ends it and says so, and the figure is left out.
FIGURE_SECONDS = STATEMENT_SECONDS / 2
_LIMIT = text("select set_config('statement_timeout', :limit, true)")
_CANCELLED = "57014"
_PATH = ARRAY(Text)
_FILE = Path(__file__).with_name("figures.sql")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted on a day. A figure that took too long is None."""

    day: date
    figures: Mapping[str, Any]
    taken_at: datetime


class Analyses:
    def __init__(self, database: Database, *, figure_seconds: float = FIGURE_SECONDS) -> None:
        self._database = database
        self._limit = f"{int(figure_seconds * 1000)}ms"

    async def count(self, *, days: int) -> dict[str, Any]:
        """Count all figures; those of a time are of the last days."""
        return {name: await self._figure(name, statement, days) for name, statement in statements().items()}

    async def keep(self, figures: Mapping[str, Any], *, run_id: str) -> Counted:
        """Keep the day's figures in place of earlier ones of the same day."""
        today = func.timezone("UTC", func.now())
        wanted = insert(AnalysisRow).values(day=func.date(today), figures=dict(figures), run_id=run_id)
        changed = {"figures": wanted.excluded.figures, "run_id": run_id, "taken_at": func.now()}
        keep = wanted.on_conflict_do_update(index_elements=["day"], set_=changed).returning(AnalysisRow)
        async with self._database.transaction() as session:
            kept = _counted((await session.scalars(keep)).one())
            await drop_names(session, before=kept.day)
        return kept

    async def recent(self, *, limit: int) -> list[Counted]:
        """Give the last analyses, the oldest of them first."""
        wanted = select(AnalysisRow).order_by(AnalysisRow.day.desc()).limit(limit)
        async with self._database.transaction() as session:
            found = [_counted(row) for row in await session.scalars(wanted)]
        return found[::-1]

    async def _figure(self, name: str, statement: str, days: int) -> Any:  # noqa: ANN401
        given = {"days": days} if ":days" in statement else {}
        try:
            async with self._database.transaction() as session:
                await session.execute(_LIMIT, {"limit": self._limit})
                return await session.scalar(text(statement), given)
        except TransientError as error:
            if _CANCELLED not in str(error):
                raise
            logger.warning("the figure %s was left out: it took more than %s", name, self._limit)
            return None


async def drop_names(session: AsyncSession, *, before: date | None = None) -> None:
    """Take out of analyses which rooms and tenants they name, of all days or of those before one.

    Only the newest analysis names any, and forgetting somebody takes that out, too: until the next one.
    """
    named = AnalysisRow.figures
    without = named.op("#-")(cast(["tokens", "by_tenant"], _PATH)).op("#-")(cast(["digest", "slow_rooms"], _PATH))
    change = update(AnalysisRow).values(figures=without).where(named != without)
    await session.execute(change if before is None else change.where(AnalysisRow.day < before))


def statements() -> dict[str, str]:
    """Read the file's statements, which stand apart by an empty line, each under its name."""
    parts = _FILE.read_text().strip().split("\n\n")
    named = (part.removeprefix("-- ").partition("\n") for part in parts)
    return {name.partition(":")[0]: statement for name, _, statement in named}


def _counted(row: AnalysisRow) -> Counted:
    return Counted(row.day, row.figures, row.taken_at)
