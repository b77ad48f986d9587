"""Finds what nobody works on, and wakes it: the compensation of last resort."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

from afterturn_client.names import MEMORY_QUEUE, ROOM_DIGEST, ROOM_MEMORY, room_digest_id, room_memory_id
from temporalio import activity
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.heartbeats import heartbeating, run_id
from activities.priorities import behind_chat
from activities.steps import RoomInput, SweepResult
from activities.waking_webhooks import WebhookWaker
from services.postgres.archive.imports import Imports
from services.postgres.archive.quarantine import Quarantine
from services.postgres.archive.rooms import Rooms
from services.room_buffer.buffer import RoomBuffer

STARTS_AT_ONCE = 20
PAGE_ROOMS = 500
# An import can bring a hundred thousand rooms; the next sweeps go on where places became free.
BACKLOG_DIGESTS = 1_000


class SweepActivities:
    def __init__(
        self,
        client: Client,
        buffer: RoomBuffer,
        rooms: Rooms,
        quarantine: Quarantine,
        imports: Imports,
        *,
        webhooks: WebhookWaker | None = None,
        backlog_digests: int = BACKLOG_DIGESTS,
    ) -> None:
        self._client = client
        self._buffer = buffer
        self._rooms = rooms
        self._quarantine = quarantine
        self._imports = imports
        self._webhooks = webhooks
        self._backlog_digests = backlog_digests

    @activity.defn
    async def sweep(self) -> SweepResult:
        """Wake rooms with a buffer or a claim, and digests with something left, that no workflow works on.

        A running workflow is left alone: it retries by itself, and a signal at every sweep would fill its history.
        """
        async with heartbeating():
            quarantined = await self._set_invalid_buffers_aside()
            running = await self._running(ROOM_MEMORY)
            rooms = [room async for room in self._buffer.scan() if room_memory_id(room) not in running]
            woken = await self._start(ROOM_MEMORY, dict.fromkeys(rooms, Priority.default))
            running = await self._running(ROOM_DIGEST)
            digests = await self._start(ROOM_DIGEST, await self._to_digest(running))
            webhooks = await self._webhooks.wake_all() if self._webhooks else 0
        return SweepResult(rooms_woken=woken, digests_woken=digests, quarantined=quarantined, webhooks_woken=webhooks)

    async def _running(self, workflow_type: str) -> set[str]:
        query = f"WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'"
        return {execution.id async for execution in self._client.list_workflows(query)}

    async def _to_digest(self, running: set[str]) -> dict[str, Priority]:
        """Give the rooms whose digest stands still: all of live chat, of what imports brought only so many."""
        places = self._backlog_digests - len(running)
        found = {}
        async for room_id, priority in self._undigested():
            if room_digest_id(room_id) in running:
                continue
            if priority != Priority.default:
                places -= 1
                if places < 0:
                    continue
            found[room_id] = priority
        return found

    async def _undigested(self) -> AsyncIterator[tuple[str, Priority]]:
        """What an import brought is digested behind live chat."""
        after = ""
        while page := await self._rooms.undigested(after=after, limit=PAGE_ROOMS):
            backlog = await self._imports.backlog(page)
            for room_id in page:
                yield room_id, behind_chat(backlog[room_id]) if room_id in backlog else Priority.default
            after = page[-1]

    async def _start(self, workflow_type: str, rooms: Mapping[str, Priority]) -> int:
        few = asyncio.Semaphore(STARTS_AT_ONCE)

        async def start(room_id: str, priority: Priority) -> int:
            async with few:
                return await self._start_one(workflow_type, room_id, priority)

        return sum(await asyncio.gather(*(start(room_id, priority) for room_id, priority in rooms.items())))

    async def _start_one(self, workflow_type: str, room_id: str, priority: Priority) -> int:
        workflow_id = room_memory_id(room_id) if workflow_type == ROOM_MEMORY else room_digest_id(room_id)
        try:
            await self._client.start_workflow(
                workflow_type,
                RoomInput(room_id=room_id),
                id=workflow_id,
                task_queue=MEMORY_QUEUE,
                priority=priority,
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
