"""Finds what nobody works on, and wakes it: the compensation of last resort."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from uuid import uuid4

from afterturn_client.names import MEMORY_QUEUE, ROOM_DIGEST, ROOM_MEMORY, room_digest_id, room_memory_id
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.heartbeats import heartbeating, run_id
from activities.steps import RoomInput, SweepResult
from services.postgres.quarantine import Quarantine
from services.postgres.rooms import Rooms
from services.room_buffer.buffer import RoomBuffer

STARTS_AT_ONCE = 20
PAGE_ROOMS = 500


class SweepActivities:
    def __init__(self, client: Client, buffer: RoomBuffer, rooms: Rooms, quarantine: Quarantine) -> None:
        self._client = client
        self._buffer = buffer
        self._rooms = rooms
        self._quarantine = quarantine

    @activity.defn
    async def sweep(self) -> SweepResult:
        """Wake rooms with a buffer or a claim, and digests with something left, that no workflow works on.

        A running workflow is left alone: it retries by itself, and a signal at every sweep would fill its history.
        """
        async with heartbeating():
            quarantined = await self._set_invalid_buffers_aside()
            running = await self._running(ROOM_MEMORY)
            rooms = [room async for room in self._buffer.scan() if room_memory_id(room) not in running]
            woken = await self._start(ROOM_MEMORY, rooms)
            running = await self._running(ROOM_DIGEST)
            undigested = [room async for room in self._undigested() if room_digest_id(room) not in running]
            digests = await self._start(ROOM_DIGEST, undigested)
        return SweepResult(rooms_woken=woken, digests_woken=digests, quarantined=quarantined)

    async def _running(self, workflow_type: str) -> set[str]:
        query = f"WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'"
        return {execution.id async for execution in self._client.list_workflows(query)}

    async def _undigested(self) -> AsyncIterator[str]:
        after = ""
        while page := await self._rooms.undigested(after=after, limit=PAGE_ROOMS):
            for room_id in page:
                yield room_id
            after = page[-1]

    async def _start(self, workflow_type: str, rooms: Iterable[str]) -> int:
        few = asyncio.Semaphore(STARTS_AT_ONCE)

        async def start(room_id: str) -> int:
            async with few:
                return await self._start_one(workflow_type, room_id)

        return sum(await asyncio.gather(*(start(room_id) for room_id in rooms)))

    async def _start_one(self, workflow_type: str, room_id: str) -> int:
        workflow_id = room_memory_id(room_id) if workflow_type == ROOM_MEMORY else room_digest_id(room_id)
        try:
            await self._client.start_workflow(
                workflow_type, RoomInput(room_id=room_id), id=workflow_id, task_queue=MEMORY_QUEUE
            )
        except WorkflowAlreadyStartedError:
            return 0
        return 1

    async def _set_invalid_buffers_aside(self) -> int:
        """Move the lists whose key names no room into quarantine; a key that holds no list is not ours to touch."""
        moved = 0
        async for key in self._buffer.scan_invalid():
            while key.kind == "list" and (batch := await self._buffer.take_invalid(key.key, name=uuid4().hex)):
                await self._quarantine.add_buffer(f"{key.name} {batch.name}", batch.entries, run_id=run_id())
                await self._buffer.drop_invalid(key.key, batch)
                moved += len(batch.entries)
        return moved
