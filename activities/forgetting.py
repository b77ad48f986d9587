"""Forgets an owner: in Redis, in Postgres, in Mem0, and wherever else something is kept of them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from afterturn_client.names import room_digest_id, room_memory_id
from afterturn_client.rooms import is_room_id
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.forget_steps import ForgetMemoriesResult, ForgetReceiptStep, ForgetRun
from activities.forgotten_buffers import ForgottenBuffers
from activities.heartbeats import heartbeating
from services.domain.errors import TransientError
from services.domain.memories import owner_of
from services.domain.owners_data import OwnersData
from services.imports.folder import ImportFolder
from services.mem0_store.erasing import drop_deletions, erase_orphans
from services.mem0_store.port import MemoryStore
from services.postgres.database import Database
from services.postgres.forgetting.erasing_owner import OwnerEraser
from services.postgres.forgetting.forgettings import Forgetting, Forgettings

# So long a run that was told to stop is waited for. It can do no harm afterwards: its work is dropped.
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.5
# A command copies a file before it starts the import of it.
_COPY_SECONDS = 3600.0


class ForgetActivities:
    """`beside` are those that keep something else of owners."""

    def __init__(
        self,
        client: Client,
        buffers: ForgottenBuffers,
        database: Database,
        store: MemoryStore | None,
        folder: ImportFolder,
        beside: Sequence[OwnersData] = (),
        *,
        grace_seconds: float,
    ) -> None:
        self._client = client
        self._buffers = buffers
        self._database = database
        self._store = store
        self._folder = folder
        self._beside = beside
        self._grace_seconds = grace_seconds
        self._forgettings = Forgettings(database)
        self._eraser = OwnerEraser(database)

    @activity.defn
    async def stop_work(self, input: ForgetRun) -> None:  # noqa: A002
        """Tell the runs that work for this owner alone to stop, and wait for them a while."""
        async with heartbeating():
            run = await self._forgettings.open(input.run, owner_of(input.owner_type, input.owner_id))
            running = [id_ for id_ in _works_of(run) if await self._cancelled(id_)]
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    for id_ in running:
                        await self._stopped(id_)

    @activity.defn
    async def erase_buffers(self, input: ForgetRun) -> None:  # noqa: A002
        """Erase what is buffered, begin the owner's new epoch, and erase what was claimed before it.

        From here on nothing that was said or begun before comes in any more, whoever brings it.
        """
        async with heartbeating():
            run = await self._forgettings.get(input.run)
            if run.epoch is None:
                await self._count_entries(run, await self._buffers.erase(run))
                await self._forgettings.begin_epoch(run, await self._buffers.now())
                run = await self._forgettings.get(input.run)
            if run.claimed_before is not None:
                erased = await self._buffers.erase(run, claimed_before=run.claimed_before)
                await self._count_entries(run, erased)

    @activity.defn
    async def erase_rows(self, input: ForgetRun) -> None:  # noqa: A002
        """Erase all that Postgres holds, page by page, and what others keep beside it."""
        async with heartbeating():
            run = await self._forgettings.get(input.run)
            for one in self._beside:
                erased = await one.erase(run.owner)
                counts = {f"{one.name}.{place}": number for place, number in erased.items()}
                await self._forgettings.count(run.run_id, counts)
            while await self._eraser.erase_page(run):
                activity.heartbeat()
            await self._remove_copies()

    @activity.defn
    async def erase_memories(self, input: ForgetRun) -> ForgetMemoriesResult:  # noqa: A002
        """Erase what Mem0 holds of the owner, and let it follow the memories of others that lost a source."""
        async with heartbeating():
            run = await self._forgettings.get(input.run)
            async with self._database.transaction() as session:
                gone = await session.run_sync(erase_orphans, run.owner)
            if self._store is None:
                async with self._database.transaction() as session:
                    await session.run_sync(drop_deletions, run.owner)
            else:
                gone += await self._store.erase(run.owner, run.entities)
                await self._settle_others(run, self._store)
            await self._forgettings.count(run.run_id, {"mem0.memories": gone})
        return ForgetMemoriesResult(grace_seconds=self._grace_seconds)

    @activity.defn
    async def finish(self, input: ForgetRun) -> ForgetReceiptStep:  # noqa: A002
        receipt = await self._forgettings.finish(input.run)
        return ForgetReceiptStep(
            run_id=receipt.run_id,
            owner_type=receipt.owner_type,
            owner_id=input.owner_id,
            erased=receipt.erased,
            own_row=receipt.own_row,
            not_searched=self._not_searched(receipt.own_row),
            started_at=receipt.started_at,
            forgotten_at=receipt.forgotten_at,
            finished_at=receipt.finished_at,
        )

    async def _settle_others(self, run: Forgetting, store: MemoryStore) -> None:
        while left := await self._eraser.to_settle(run):
            for owner, slug in left:
                await store.settle(owner, slug)
                await self._eraser.settled(run, owner, slug)

    async def _count_entries(self, run: Forgetting, erased: int) -> None:
        await self._forgettings.count(run.run_id, {"redis.entries": erased})

    async def _remove_copies(self) -> None:
        """What a command copied for an import, and nobody removed, may hold anything."""
        for name in await asyncio.to_thread(self._folder.old_copies, seconds=_COPY_SECONDS):
            if not await self._is_running(_import_of(name)):
                await asyncio.to_thread(self._folder.remove_copy, name)

    def _not_searched(self, own_row: str | None) -> list[str]:
        left = ["files that operators put into IMPORT_FOLDER", "backups", "logs and tables of the host"]
        if own_row == "cleared":
            left.append("the host's own row, but for the columns that Afterturn added")
        if self._store is None:
            left.append("Mem0: none is configured")
        return left

    async def _cancelled(self, workflow_id: str) -> bool:
        """Tell a run to stop; False where there is none."""
        try:
            await self._client.get_workflow_handle(workflow_id).cancel()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise TransientError(f"Temporal answers {error.status.name}") from None
        return True

    async def _stopped(self, workflow_id: str) -> None:
        while await self._is_running(workflow_id):  # noqa: ASYNC110  Temporal is asked, for it tells nobody
            await asyncio.sleep(_LOOK_SECONDS)

    async def _is_running(self, workflow_id: str) -> bool:
        try:
            found = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise TransientError(f"Temporal answers {error.status.name}") from None
        return found.status == WorkflowExecutionStatus.RUNNING


def _works_of(run: Forgetting) -> list[str]:
    """Name the runs that work for this owner alone, by every way in which the owner's id may be written."""
    kind = run.owner.type
    loads = [f"load-{kind}-memories:{id_}" for id_ in run.ids]
    rooms = [f"user:{id_}" for id_ in run.ids if is_room_id(f"user:{id_}")] if kind == "user" else []
    return [*loads, *(room_digest_id(room) for room in rooms), *(room_memory_id(room) for room in rooms)]


def _import_of(copy: str) -> str:
    return f"import-history:{PurePosixPath(copy).stem}"
