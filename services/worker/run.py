"""Runs workers until told to stop."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import uvloop
from temporalio.client import Client
from temporalio.worker import Worker

from services import temporal
from services.domain.errors import AfterturnError
from services.logs import log_to_stderr
from services.memories.prefetching import Prefetching
from services.resources import Resources, open_resources
from services.settings import (
    DeploymentSettings,
    LogSettings,
    TracingSettings,
    WorkerMetricsSettings,
    WorkerSettings,
    load,
    read_dot_env,
)
from services.tracing import open_tracer
from services.worker.activities import wire
from services.worker.metrics import open_runtime
from services.worker.queues import WORKFLOWS, build_workers
from services.worker.schedules import apply_schedules
from services.worker.tracing import running_step

CONNECT_RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_workers() -> AsyncIterator[None]:
    """Run workers while the body runs; leaving waits for the steps at work."""
    async with open_resources() as resources, serving(resources, await connect_to_temporal()):
        yield


@asynccontextmanager
async def serving(resources: Resources, client: Client, workflows: Sequence[type] = WORKFLOWS) -> AsyncIterator[None]:
    """Serve the task queues with these clients, and see to it that the schedules stand."""
    settings = load(WorkerSettings)
    await apply_schedules(client)
    async with AsyncExitStack() as stack:
        endpoint = load(TracingSettings).otel_exporter_otlp_endpoint
        tracer = await stack.enter_async_context(open_tracer(endpoint, "afterturn-worker"))
        prefetching = await stack.enter_async_context(Prefetching.open(resources.sections))
        activities = wire(resources, prefetching)
        stack.push_async_callback(activities.waker.stop)
        workers = build_workers(client, activities, settings, tracer, workflows)
        for worker in workers:
            await stack.enter_async_context(worker)
        stack.push_async_callback(_stop_together, workers)
        logger.info("worker started: %s", settings.task_queues)
        if build_id := load(DeploymentSettings).temporal_worker_build_id:
            logger.info("it is given work from when %s is the current version", build_id)
        yield


async def _stop_together(workers: Sequence[Worker]) -> None:
    """One after the other would let the last ones begin new model calls while the first one waits for its own."""
    await asyncio.gather(*(worker.shutdown() for worker in workers))


async def connect_to_temporal() -> Client:
    """Connect when Temporal answers: a worker may be started before it."""
    runtime = open_runtime(load(WorkerMetricsSettings), load(LogSettings))
    told = False
    while True:
        try:
            return await temporal.connect(runtime=runtime)
        except RuntimeError as error:
            if not told:
                logger.warning("waiting for Temporal: %s", error)
                told = True
        await asyncio.sleep(CONNECT_RETRY_SECONDS)


async def run_until_stopped() -> None:
    """Run workers until SIGTERM or SIGINT, which end the wait for Temporal, too."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_resources() as resources:
        client = await _connect_unless(stop)
        if client is not None:
            async with serving(resources, client):
                await stop.wait()


async def _connect_unless(stop: asyncio.Event) -> Client | None:
    """Connect to Temporal; answer None where `stop` is set before it answers."""
    connecting, stopping = asyncio.create_task(connect_to_temporal()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        connecting.cancel()
        stopping.cancel()
    await asyncio.wait({connecting, stopping})
    return None if connecting.cancelled() else connecting.result()


def main() -> int:
    try:
        read_dot_env()
        log_to_stderr(running_step)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_until_stopped())
    except AfterturnError as error:
        logger.error("%s", error)  # noqa: TRY400  the message says it all
        return 2
    return 0
