"""Counts what there is and what it cost, and keeps it as the day's analysis."""

from temporalio import activity

from activities.heartbeats import heartbeating, run_id
from activities.maintenance_steps import AnalysisTaken
from services.analytics.taking import Analytics


class AnalyzeActivities:
    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics

    @activity.defn
    async def analyze(self) -> AnalysisTaken:
        async with heartbeating():
            analysis = await self._analytics.take(run_id=run_id())
        return AnalysisTaken(day=analysis.day.isoformat(), recommendations=len(analysis.recommendations))
