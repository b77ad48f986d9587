"""Gives the activities of maintenance their clients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activities.analyse import AnalyzeActivities
from activities.clean_up import CleanUpActivities
from activities.optimise import OptimizeActivities
from activities.synchronise import SyncActivities
from services.analytics.taking import Analytics
from services.imports.folder import ImportFolder
from services.memories.expiring import MessageExpiry
from services.memories.merging import Merging
from services.postgres.archive.room_counters import RoomCounters
from services.postgres.memories.merges import Merges
from services.postgres.upkeep.analyses import Analyses
from services.postgres.upkeep.clean_up import CleanUp
from services.postgres.upkeep.expired_messages import ExpiredMessages
from services.postgres.upkeep.statistics import Upkeep
from services.resources import Resources
from services.settings import AnalyticsSettings, ImportSettings, RetentionSettings, load


@dataclass(frozen=True, slots=True)
class Maintenance:
    clean_up: CleanUpActivities
    optimise: OptimizeActivities
    synchronise: SyncActivities
    analyse: AnalyzeActivities

    @property
    def memory_steps(self) -> list[Callable[..., Any]]:
        """Give the steps of the `memory` queue; merging calls Mem0, and is done on its queue."""
        optimise = (self.optimise.pack_values, self.optimise.analyze_tables)
        return [self.clean_up.clean_up, *optimise, self.synchronise.sync, self.analyse.analyze]


def wire_maintenance(resources: Resources) -> Maintenance:
    database, days = resources.database, load(RetentionSettings).days
    merges = Merges(database)
    return Maintenance(
        clean_up=CleanUpActivities(
            resources.temporal,
            CleanUp(database, days),
            ImportFolder(load(ImportSettings).import_folder),
            resources.sections,
            MessageExpiry(ExpiredMessages(database, days=days["messages"]), resources.memory_store),
            days=days,
        ),
        optimise=OptimizeActivities(
            merges,
            Merging(resources.memories, merges) if resources.memories.is_configured else None,
            resources.sections,
            Upkeep(database),
        ),
        synchronise=SyncActivities(resources.buffer, RoomCounters(database), resources.sections),
        analyse=AnalyzeActivities(wire_analytics(resources)),
    )


def wire_analytics(resources: Resources) -> Analytics:
    return Analytics(Analyses(resources.database), load(AnalyticsSettings).token_prices)
