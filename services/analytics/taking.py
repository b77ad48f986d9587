"""Takes analyses, and gives them with what they cost and what they recommend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.analytics.costs import Prices, priced
from services.analytics.recommendations import recommend
from services.postgres.upkeep.analyses import Analyses, Counted

# What a day's analysis looks back on, but for totals.
WINDOW_DAYS = 7


@dataclass(frozen=True, slots=True)
class Analysis:
    """A day's figures, without content. `costs` are in the unit of the price table, None where it names no price."""

    day: date
    taken_at: datetime
    figures: Mapping[str, Any]
    costs: Mapping[str, Any]
    recommendations: Sequence[str]


class Analytics:
    def __init__(self, analyses: Analyses, prices: Prices) -> None:
        self._analyses = analyses
        self._prices = prices

    async def take(self, *, run_id: str) -> Analysis:
        """Count everything now, and keep it as the day's analysis."""
        figures = await self._analyses.count(days=WINDOW_DAYS)
        await self._analyses.keep(figures, run_id=run_id)
        return (await self.recent(days=2))[-1]

    async def recent(self, *, days: int) -> list[Analysis]:
        """Give the last analyses, the oldest of them first; each is judged with the one before it."""
        counted = await self._analyses.recent(limit=days)
        before: list[Counted | None] = [None, *counted[:-1]]
        return [self._analysis(one, past) for one, past in zip(counted, before, strict=bool(counted))]

    def _analysis(self, counted: Counted, before: Counted | None) -> Analysis:
        figures = counted.figures
        return Analysis(
            day=counted.day,
            taken_at=counted.taken_at,
            figures=figures,
            costs=priced(figures.get("tokens"), self._prices),
            recommendations=recommend(figures, before.figures if before else None),
        )
