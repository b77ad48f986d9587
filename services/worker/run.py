"""Runs workers until told to stop."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from opentelemetry.trace import Tracer
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.failures import ScrubFailures
from services import temporal
from services.domain.errors import AfterturnError
from services.resources import Resources, open_resources
from services.settings import TracingSettings, WorkerSettings, load, read_dot_env
from services.tracing import open_tracer
from services.worker.activities import Activities, wire
from services.worker.schedules import apply_schedules
from services.worker.tracing import TraceSteps
from workflows.import_history import ImportHistory
from workflows.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE
from workflows.process_rooms import ProcessRooms
from workflows.reconcile_mem0 import ReconcileMem0
from workflows.room_digest import RoomDigest
from workflows.room_memory import RoomMemory

WORKFLOWS = (RoomMemory, RoomDigest, ProcessRooms, ReconcileMem0, ImportHistory)
# Imported once and not again for each workflow: an unpassed SQLAlchemy costs 450 ms a workflow.
PASSED_THROUGH = ("activities", "services", "afterturn_client", "pydantic", "sqlalchemy", "redis", "httpx")
CONNECT_RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)


def workflow_runner() -> SandboxedWorkflowRunner:
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


def build_workers(client: Client, activities: Activities, settings: WorkerSettings, tracer: Tracer) -> list[Worker]:
    """Build one worker for each task queue that this process serves."""
    queues: dict[str, list[Callable[..., Any]]] = {
        MEMORY_QUEUE: [
            activities.buffers.claim,
            activities.buffers.archive,
            activities.buffers.release,
            activities.buffers.last_seq,
            activities.sweep.sweep,
            activities.imports.check_source,
            activities.imports.import_pages,
            activities.imports.remove_copy,
        ],
        LLM_QUEUE: [activities.digest.digest_next],
        MEM0_QUEUE: [activities.memories.save_memories, activities.reconcile.reconcile],
    }
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=WORKFLOWS if queue == MEMORY_QUEUE else (),
            activities=steps,
            workflow_runner=workflow_runner(),
            interceptors=[ScrubFailures(), TraceSteps(tracer)],
            max_cached_workflows=settings.max_cached_workflows if queue == MEMORY_QUEUE else 0,
            max_concurrent_activities=settings.max_concurrent_model_calls
            if queue == LLM_QUEUE
            else settings.max_concurrent_activities,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
            graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
        )
        for queue, steps in queues.items()
        if queue in settings.task_queues.split(",")
    ]


@asynccontextmanager
async def running_workers() -> AsyncIterator[None]:
    """Run workers while the body runs; leaving waits for the steps at work."""
    async with open_resources() as resources, serving(resources, await connect_to_temporal()):
        yield


@asynccontextmanager
async def serving(resources: Resources, client: Client) -> AsyncIterator[None]:
    """Serve the task queues with these clients, and see to it that the schedules stand."""
    settings = load(WorkerSettings)
    await apply_schedules(client)
    async with AsyncExitStack() as stack:
        endpoint = load(TracingSettings).otel_exporter_otlp_endpoint
        tracer = await stack.enter_async_context(open_tracer(endpoint, "afterturn-worker"))
        for worker in build_workers(client, wire(resources), settings, tracer):
            await stack.enter_async_context(worker)
        logger.info("worker started: %s", settings.task_queues)
        yield


async def connect_to_temporal() -> Client:
    """Connect when Temporal answers: a worker may be started before it."""
    told = False
    while True:
        try:
            return await temporal.connect()
        except RuntimeError as error:
            if not told:
                logger.warning("waiting for Temporal: %s", error)
                told = True
        await asyncio.sleep(CONNECT_RETRY_SECONDS)


async def run_until_stopped() -> None:
    """Run workers until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started = asyncio.create_task(_run(stop))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        stop.set()
    await started


async def _run(stop: asyncio.Event) -> None:
    async with running_workers():
        await stop.wait()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    read_dot_env()
    try:
        asyncio.run(run_until_stopped())
    except AfterturnError as error:
        logger.error("%s", error)  # noqa: TRY400  the message says it all
        return 2
    return 0
