"""Removes what is past its retention, part by part."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities.heartbeats import heartbeating
from activities.maintenance_ports import MessageUpkeep, SectionUpkeep
from activities.maintenance_steps import CleanedUp, CleanUpPageInput, CleanUpPageResult
from activities.step_pace import StepPace
from services.imports.folder import ImportFolder
from services.postgres.upkeep.clean_up import TABLES, CleanUp

BATCH_ROWS = 1_000
_COMMANDS, _MESSAGES, _FILES, _SECTIONS = "command_history", "messages", "imported_files", "sections"
PARTS = (*TABLES, _COMMANDS, _MESSAGES, _FILES, _SECTIONS)


class CleanUpActivities:
    """`days` says for how long what is kept, by what it is; 0 for ever."""

    def __init__(
        self,
        client: Client,
        rows: CleanUp,
        folder: ImportFolder,
        sections: SectionUpkeep,
        messages: MessageUpkeep,
        *,
        days: Mapping[str, int],
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._client = client
        self._rows = rows
        self._folder = folder
        self._sections = sections
        self._messages = messages
        self._days = days
        self._batch_rows = batch_rows

    @activity.defn
    async def clean_up(self, input: CleanUpPageInput) -> CleanUpPageResult:  # noqa: A002
        """Clean one part for some seconds; say where to go on."""
        part = PARTS[PARTS.index(input.after) + 1 if input.after in PARTS else 0]
        async with heartbeating():
            removed, finished = await self._clean(part)
        return CleanUpPageResult(
            found=CleanedUp(removed=removed),
            next_after=part if finished else input.after,
            is_last=finished and part == PARTS[-1],
        )

    async def _clean(self, part: str) -> tuple[dict[str, int], bool]:
        if part == _FILES:
            return {part: await self._remove_copies()}, True
        if part == _SECTIONS:
            return await self._clean_sections()
        if part == _MESSAGES:
            return await self._expire_messages()
        return await self._clean_rows(part)

    async def _clean_rows(self, part: str) -> tuple[dict[str, int], bool]:
        pace = StepPace(None, largest_batch=self._batch_rows)
        removed = 0
        while not pace.is_over():
            batch = await self._clean_batch(part)
            removed += batch
            if batch < self._batch_rows:
                return {part: removed}, True
        return {part: removed}, False

    async def _clean_batch(self, part: str) -> int:
        if part == _COMMANDS:
            return await self._sections.expire_commands(self._days[part], limit=self._batch_rows)
        return await self._rows.clean(part, limit=self._batch_rows)

    async def _expire_messages(self) -> tuple[dict[str, int], bool]:
        pace = StepPace(None, largest_batch=self._batch_rows)
        found, after = CleanedUp(removed={_MESSAGES: 0}), ""
        while not pace.is_over():
            page = await self._messages.expire_page(after)
            found = found.plus(CleanedUp(removed=page.removed))
            if page.next_after is None:
                return found.removed, True
            after = page.next_after
        return found.removed, False

    async def _clean_sections(self) -> tuple[dict[str, int], bool]:
        done = await self._sections.clean_up(limit=self._batch_rows)
        counts = {"commands": done.commands, "sessions": done.sessions, "temporaries": done.temporaries}
        return counts, not done.more

    async def _remove_copies(self) -> int:
        """A running import still reads its copy, however old it is."""
        if not (days := self._days[_FILES]):
            return 0
        running = "WorkflowType = 'ImportHistory' AND ExecutionStatus = 'Running'"
        at_work = {
            execution.id.removeprefix("import-history:") async for execution in self._client.list_workflows(running)
        }
        return await asyncio.to_thread(self._folder.remove_old_copies, older_than=timedelta(days=days), besides=at_work)
