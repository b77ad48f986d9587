"""Workers of several versions in one process, and what operators do with them by the commands of docs/kubernetes.md."""

import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from services.embedded.temporal_cli import find_temporal_cli
from services.embedded.temporal_server import TemporalServer
from services.resources import Resources
from services.worker.health import polls
from services.worker.queues import WORKFLOWS
from services.worker.run import connect_to_temporal, serving
from workflows.room_digest import RoomDigest

DOCS = Path(__file__).parents[2] / "docs" / "kubernetes.md"
# Temporal makes no version the current one that leaves out a queue of the one before.
_QUEUES = {("memory", "activity"), ("memory", "workflow"), ("llm", "activity"), ("mem0", "activity")}


class SoonDrained(TemporalServer):
    """Looks after a second, not after three minutes, whether runs are left on a version."""

    def command(self) -> list[str]:
        options = ("VersionDrainageStatusVisibilityGracePeriod", "VersionDrainageStatusRefreshInterval")
        given = (part for option in options for part in ("--dynamic-config-value", f'matching.wv.{option}="1s"'))
        return [*super().command(), *given]


@asynccontextmanager
async def version(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, build: str, digest: type = RoomDigest
) -> AsyncIterator[None]:
    """Run workers of one version, as their deployment tells them; of none where that is empty."""
    monkeypatch.setenv("TEMPORAL_DEPLOYMENT_NAME", "afterturn" if build else "")
    monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", build)
    workflows = [digest if workflow is RoomDigest else workflow for workflow in WORKFLOWS]
    async with serving(resources, await connect_to_temporal(), workflows):
        async with asyncio.timeout(60):
            while not (await polls() and (build == "" or await _queues(build) >= _QUEUES)):
                await asyncio.sleep(0.1)
        yield


async def _queues(build: str) -> set[tuple[str, str]]:
    """Give the task queues that a version asks for work on, as far as the server knows."""
    _, out = await _run(f"worker deployment describe-version --deployment-name afterturn --build-id {build}")
    return set(re.findall(r"^ *(\w+) +(activity|workflow)", out, re.MULTILINE))


def documented(word: str, *, build: str = "") -> str:
    """Give the one command of the documentation for it."""
    commands = re.findall(r"^temporal (worker deployment .*)$", DOCS.read_text(), flags=re.MULTILINE)
    [found] = {command for command in commands if word in command and build in command}
    return str(found)


async def told(command: str) -> str:
    """Run an operator's command, again where Temporal finds nothing.

    It keeps a version's state in a workflow and reports one that is just continuing as new as not found.
    """
    async with asyncio.timeout(30):
        while True:
            code, out = await _run(command)
            if code == 0:
                return out
            assert "not found" in out, (command, out)
            await asyncio.sleep(0.2)


async def _run(command: str) -> tuple[int | None, str]:
    program = str(await find_temporal_cli())
    process = await asyncio.create_subprocess_exec(
        program, *shlex.split(command), env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode()


async def builds(client: Client, workflow_id: str) -> list[str]:
    """Give the versions that did the run's tasks, in their order."""
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    events = (await client.get_workflow_handle(workflow_id).fetch_history()).events
    return [
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        for event in events
        if event.event_type == done
    ]


async def has_patch(client: Client, workflow_id: str) -> bool:
    events = (await client.get_workflow_handle(workflow_id).fetch_history()).events
    return any(event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED for event in events)


async def waiting(client: Client, queue: str, kind: TaskQueueType.ValueType) -> int:
    """Count the tasks that wait, as KEDA's scaler does."""
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind, report_stats=True
        )
    )
    return described.stats.approximate_backlog_count
