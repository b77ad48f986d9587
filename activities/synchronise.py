"""Brings Redis and Postgres to agree: room buffers, the rooms' counters, and the section store's cache."""

from temporalio import activity

from activities.heartbeats import heartbeating
from activities.maintenance_ports import SectionUpkeep
from activities.maintenance_steps import Synced, SyncPageInput, SyncPageResult
from services.postgres.archive.room_counters import RoomCounters
from services.room_buffer.buffer import RoomBuffer

PAGE = 1_000
# A cursor says which part it is of.
_ROOMS, _SECTIONS = "rooms:", "sections:"


class SyncActivities:
    """`sections` is None where there is no section store."""

    def __init__(
        self, buffer: RoomBuffer, counters: RoomCounters, sections: SectionUpkeep | None, *, page: int = PAGE
    ) -> None:
        self._buffer = buffer
        self._counters = counters
        self._sections = sections
        self._page = page

    @activity.defn
    async def sync(self, input: SyncPageInput) -> SyncPageResult:  # noqa: A002
        """Do the next page; the first one looks through the buffers, which gives stray claims back to their rooms."""
        async with heartbeating():
            if input.after is None:
                rooms = len([room async for room in self._buffer.scan()])
                return SyncPageResult(found=Synced(rooms=rooms), next_after=_ROOMS)
            if input.after.startswith(_ROOMS):
                return await self._sync_counters(input.after.removeprefix(_ROOMS))
            return await self._sync_sections(input.after.removeprefix(_SECTIONS) or None)

    async def _sync_counters(self, after: str) -> SyncPageResult:
        mended, last = await self._counters.mend(after, limit=self._page)
        next_after = _SECTIONS if last is None else f"{_ROOMS}{last}"
        return SyncPageResult(found=Synced(counters=mended), next_after=next_after)

    async def _sync_sections(self, after: str | None) -> SyncPageResult:
        if self._sections is None:
            return SyncPageResult()
        page = await self._sections.sync(after, limit=self._page)
        counts = {name: getattr(page, name) for name in ("checked", "stale", "marks", "ended", "embedded", "dropped")}
        next_after = None if page.cursor is None else f"{_SECTIONS}{page.cursor}"
        return SyncPageResult(found=Synced(sections=counts), next_after=next_after)
