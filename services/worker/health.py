"""Leaves with 0 while a worker of this machine asks Temporal for work on each of its task queues."""

import asyncio
import os
import socket
import sys
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services import temporal
from services.settings import WorkerSettings, load, read_dot_env

# A poll lasts a minute; one that began before that belongs to a worker which is gone, though the server remembers it.
_POLL = timedelta(seconds=90)
_SECONDS = 10


async def polls() -> bool:
    """Answer False, too, where Temporal does not answer: then no work is done either."""
    try:
        async with asyncio.timeout(_SECONDS):
            client = await temporal.connect()
            queues = load(WorkerSettings).task_queues.split(",")
            return all([await _polled(client, queue) for queue in queues])
    except (RPCError, RuntimeError, TimeoutError):
        return False


async def _polled(client: Client, queue: str) -> bool:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
    )
    since = datetime.now(UTC) - _POLL
    here = f"@{socket.gethostname()}"
    return any(
        poller.identity.endswith(here) and poller.last_access_time.ToDatetime(UTC) >= since
        for poller in described.pollers
    )


def main() -> int:
    read_dot_env()
    return 0 if asyncio.run(polls()) else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Temporal's client may die while the interpreter shuts down (sdk-python issue 300).
    os._exit(code)
