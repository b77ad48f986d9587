import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
    PollActivityTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from services.cli.checks.check import Check, clock_check, judged
from services.cli.checks.worker_versions import check_worker_versions
from services.cli.exit_codes import UnreachableError
from services.cli.reaching import reach_temporal, temporal_place
from services.cli.schedules import describe
from services.embedded.temporal_cli import OLDEST_SERVER
from services.worker.schedules import schedules
from workflows.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE

# A poll lasts a minute; one that began before that belongs to a worker which is gone, though the server remembers it.
_POLL = timedelta(seconds=90)
_OWN_QUEUE, _OWN_POLL = "afterturn-doctor", timedelta(seconds=10)
_LOOKS, _LOOK_SECONDS = 20, 0.1
_ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
_KINDS = {
    MEMORY_QUEUE: (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    LLM_QUEUE: (TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,),
    MEM0_QUEUE: (TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,),
}


async def check_temporal(client: Client, *, now: Callable[[], float] = time.time) -> list[Check]:
    """Look at a Temporal; `now` is this machine's clock."""
    try:
        await reach_temporal(client)
    except UnreachableError as error:
        cure = "start it, or set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE"
        return [Check("Temporal: reachable", "failed", str(error), cure)]
    return [
        Check("Temporal: reachable", "ok", temporal_place(client)),
        await _version(client),
        await _clock(client, now),
        *[await _schedule(client, schedule) for schedule in schedules()],
        *[await _queue(client, queue) for queue in _KINDS],
        await _versions(client),
    ]


async def _version(client: Client) -> Check:
    name = "Temporal: version"
    try:
        said = (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version
        number = tuple(int(part) for part in said.split(".")[:2])
    except (RPCError, ValueError):
        return Check(name, "not checkable", "the server does not say")
    oldest = ".".join(map(str, OLDEST_SERVER))
    return judged(name, good=number >= OLDEST_SERVER, detail=said, cure=f"run Temporal {oldest} or newer")


async def _clock(client: Client, now: Callable[[], float]) -> Check:
    """Nobody can ask Temporal for the time; but of a poll it notes when it came."""
    name, identity = "Temporal: clock", f"doctor-{uuid4().hex}"
    request = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=_OWN_QUEUE), identity=identity
    )
    before = now()
    polling = asyncio.create_task(client.workflow_service.poll_activity_task_queue(request, timeout=_OWN_POLL))
    try:
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_SECONDS)
            pollers = await _described(client, _OWN_QUEUE, _ACTIVITIES)
            if noted := [poller for poller in pollers if poller.identity == identity]:
                at = noted[0].last_access_time.ToDatetime(UTC).timestamp()
                return clock_check("Temporal", at, before=before, after=now())
    except RPCError as error:
        return Check(name, "not checkable", error.status.name)
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
    return Check(name, "not checkable", "the server did not note a poll")


async def _schedule(client: Client, schedule: str) -> Check:
    name = f"Temporal: schedule {schedule}"
    try:
        found = await describe(client, schedule)
    except RPCError as error:
        return Check(name, "not checkable", error.status.name)
    if found is None:
        return Check(name, "failed", "missing", "run `afterturn schedules apply`")
    return judged(
        name,
        good=not found.schedule.state.paused,
        detail="paused" if found.schedule.state.paused else "active",
        cure=f"run `temporal schedule toggle --unpause --schedule-id {schedule}`",
    )


async def _queue(client: Client, queue: str) -> Check:
    name = f"Temporal: a worker on {queue}"
    try:
        pollers = [len(await _polling(client, queue, kind)) for kind in _KINDS[queue]]
    except RPCError as error:
        return Check(name, "not checkable", error.status.name)
    return judged(
        name,
        good=all(pollers),
        detail=f"{min(pollers)} polling" if all(pollers) else "nobody polls it",
        cure="run `afterturn worker`, with this queue in TASK_QUEUES",
    )


async def _versions(client: Client) -> Check:
    try:
        polling = await _polling(client, MEMORY_QUEUE, _ACTIVITIES)
    except RPCError as error:
        return Check("Temporal: version of the workers", "not checkable", error.status.name)
    return await check_worker_versions(client, polling)


async def _polling(client: Client, queue: str, kind: TaskQueueType.ValueType) -> list[PollerInfo]:
    since = datetime.now(UTC) - _POLL
    pollers = await _described(client, queue, kind)
    return [poller for poller in pollers if poller.last_access_time.ToDatetime(UTC) >= since]


async def _described(client: Client, queue: str, kind: TaskQueueType.ValueType) -> Sequence[PollerInfo]:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    )
    return described.pollers
