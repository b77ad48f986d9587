"""Past conversations from a file into the archive, page by page."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

from temporalio import activity

from activities.heartbeats import heartbeating, run_id
from activities.import_steps import CheckedSource, CopyInput, ImportState, Origin, PagesInput
from activities.importing import PageWriter
from activities.step_pace import StepPace
from services.domain.errors import InvalidInputError
from services.imports.detection import check_text, detect, names_conversations
from services.imports.folder import ImportFolder, mark_of
from services.imports.pages import PAGE_MESSAGES, Page, pages
from services.imports.placing import Target
from services.imports.said import Format
from services.postgres.archive.imports import Imports
from services.postgres.archive.writing import Archive


class ImportActivities:
    def __init__(self, archive: Archive, imports: Imports, folder: ImportFolder) -> None:
        self._archive = archive
        self._imports = imports
        self._folder = folder

    @activity.defn
    async def check_source(self, input: Origin) -> CheckedSource:  # noqa: A002
        """Find the format; raise `InvalidInputError` where nothing of the file could be imported like this."""
        epoch = await self._imports.epoch()
        checked = await asyncio.to_thread(self._check, input)
        return checked.model_copy(update={"epoch": epoch})

    @activity.defn
    async def import_pages(self, input: PagesInput) -> ImportState:  # noqa: A002
        """Archive pages for some seconds, from where the last attempt was; answer how far it came."""
        told = activity.info().heartbeat_details
        state = ImportState.model_validate(told[0]) if told else input.state
        async with heartbeating(lambda: state):
            file = await asyncio.to_thread(self._unchanged, input)
            with closing(file):
                writer = PageWriter(
                    self._archive, self._imports, _target(input), input.import_run, state, input.checked.epoch
                )
                pace = StepPace(input.max_per_second, largest_batch=PAGE_MESSAGES)
                found = pages(file, input.checked.format, state.cursor)
                while not pace.is_over() and not activity.is_worker_shutdown():
                    page = await asyncio.to_thread(_next, found)
                    if page is None:
                        state = state.model_copy(update={"finished": True})
                        break
                    state = await writer.write(page, pace, run_id=run_id())
                    activity.heartbeat(state)
            conversations = await self._imports.count_rooms(input.import_run)
        return state.model_copy(update={"conversations": conversations})

    @activity.defn
    async def remove_copy(self, input: CopyInput) -> None:  # noqa: A002
        """Remove the file if a command copied it into the folder for this import."""
        await asyncio.to_thread(self._folder.remove_copy, input.source)

    def _check(self, origin: Origin) -> CheckedSource:
        with self._folder.open(origin.source) as file:
            check_text(file)
            reads: Format = detect(file) if origin.format == "auto" else origin.format
            check_origin(origin, reads, file)
            mark = mark_of(file)
            return CheckedSource(format=reads, size=file.seek(0, 2), mark=mark)

    def _unchanged(self, input: PagesInput) -> BinaryIO:  # noqa: A002
        file = self._folder.open(input.origin.source)
        if mark_of(file) != input.checked.mark:
            file.close()
            raise InvalidInputError(
                "source", "a file that does not change while it is imported; a new import stores nothing twice"
            )
        return file


def check_origin(origin: Origin, reads: Format, file: BinaryIO) -> None:
    """Raise `InvalidInputError` where the input does not say what the file does not."""
    if reads in ("chatgpt", "claude") and origin.user_id is None:
        raise InvalidInputError("user_id", "the id of the person whose export this is")
    somewhere = origin.room_id is not None or origin.user_id is not None
    if reads == "jsonl" and not somewhere and not names_conversations(file):
        raise InvalidInputError("room_id", "a room, or a user_id, as the lines name no conversation_id")


def _target(input: PagesInput) -> Target:  # noqa: A002
    origin = input.origin
    return Target(
        reads=input.checked.format,
        room_id=origin.room_id,
        room_prefix=origin.room_prefix,
        user_id=origin.user_id,
        company_id=origin.company_id,
    )


def _next(found: Iterator[Page]) -> Page | None:
    return next(found, None)
