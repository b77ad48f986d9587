from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.cli.checks.check import Check, judged
from services.cli.exit_codes import UnreachableError
from services.cli.reaching import reach_temporal, temporal_place
from services.cli.serving import describe
from workflows.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE, PROCESS_ROOMS_SCHEDULE

# A poll lasts a minute; one that began before that belongs to a worker which is gone, though the server remembers it.
_POLL = timedelta(seconds=90)
_KINDS = {
    MEMORY_QUEUE: (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    LLM_QUEUE: (TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,),
    MEM0_QUEUE: (TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,),
}


async def check_temporal(client: Client) -> list[Check]:
    try:
        await reach_temporal(client)
    except UnreachableError as error:
        cure = "start it, or set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE"
        return [Check("Temporal: reachable", "failed", str(error), cure)]
    queues = [await _queue(client, queue) for queue in _KINDS]
    return [Check("Temporal: reachable", "ok", temporal_place(client)), await _schedule(client), *queues]


async def _schedule(client: Client) -> Check:
    name = f"Temporal: schedule {PROCESS_ROOMS_SCHEDULE}"
    try:
        found = await describe(client, PROCESS_ROOMS_SCHEDULE)
    except RPCError as error:
        return Check(name, "not checkable", error.status.name)
    if found is None:
        return Check(name, "failed", "missing", "run `afterturn schedules apply`")
    return judged(
        name,
        good=not found.schedule.state.paused,
        detail="paused" if found.schedule.state.paused else "active",
        cure=f"run `temporal schedule toggle --unpause --schedule-id {PROCESS_ROOMS_SCHEDULE}`",
    )


async def _queue(client: Client, queue: str) -> Check:
    name = f"Temporal: a worker on {queue}"
    try:
        pollers = [await _pollers(client, queue, kind) for kind in _KINDS[queue]]
    except RPCError as error:
        return Check(name, "not checkable", error.status.name)
    return judged(
        name,
        good=all(pollers),
        detail=f"{min(pollers)} polling" if all(pollers) else "nobody polls it",
        cure="run `afterturn worker`, with this queue in TASK_QUEUES",
    )


async def _pollers(client: Client, queue: str, kind: TaskQueueType.ValueType) -> int:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    )
    since = datetime.now(UTC) - _POLL
    return sum(poller.last_access_time.ToDatetime(UTC) >= since for poller in described.pollers)
