"""Namespaces of Temporal for tests."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from services.worker.schedules import schedules

_RETENTION = Duration(seconds=86_400)


@asynccontextmanager
async def open_namespace(address: str) -> AsyncIterator[str]:
    """Give a namespace of its own, and end its schedules.

    Else those of all tests before would go on, all at the same moments: after some hundreds of tests the server was
    busy with them for seconds, every half a minute.
    """
    name = f"test-{uuid.uuid4().hex}"
    client = await Client.connect(address)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=_RETENTION)
    )
    try:
        yield name
    finally:
        await _end_schedules(await Client.connect(address, namespace=name))


async def _end_schedules(client: Client) -> None:
    async def end(schedule_id: str) -> None:
        try:
            await client.get_schedule_handle(schedule_id).delete()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise

    await asyncio.gather(*map(end, schedules()))
