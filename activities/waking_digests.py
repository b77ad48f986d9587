"""Starts a room's digest, or tells the one that runs."""

import logging
from datetime import timedelta

from afterturn_client.names import MEMORY_QUEUE, MESSAGES_ARCHIVED, ROOM_DIGEST, room_digest_id
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.steps import RoomInput

logger = logging.getLogger(__name__)


class DigestWaker:
    """Waits `rpc_timeout` for each answer of Temporal, where one is given."""

    def __init__(self, client: Client, *, rpc_timeout: timedelta | None = None) -> None:
        self._client = client
        self._rpc_timeout = rpc_timeout

    async def wake(self, room_id: str, priority: Priority = Priority.default) -> bool:
        """Say whether the digest knows; where Temporal does not answer, whoever asked has to see to it."""
        try:
            while not (await self._started(room_id, priority) or await self._told(room_id)):
                # It ended in between.
                pass
        except (RPCError, RuntimeError) as error:
            # The latter where the client never could connect.
            logger.info("the digest was not woken: %s", type(error).__name__)
            return False
        return True

    async def _started(self, room_id: str, priority: Priority) -> bool:
        try:
            await self._client.start_workflow(
                ROOM_DIGEST,
                RoomInput(room_id=room_id),
                id=room_digest_id(room_id),
                task_queue=MEMORY_QUEUE,
                priority=priority,
                rpc_timeout=self._rpc_timeout,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _told(self, room_id: str) -> bool:
        try:
            running = self._client.get_workflow_handle(room_digest_id(room_id))
            await running.signal(MESSAGES_ARCHIVED, rpc_timeout=self._rpc_timeout)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True
