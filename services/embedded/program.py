"""Our own programs as children of the stack: the LLM proxy, the worker and the memory API."""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from dotenv import dotenv_values
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.embedded.addresses import StackAddresses
from services.embedded.ports import check_free
from services.embedded.server import Server
from services.embedded.temporal_server import NAMESPACE
from services.setting_files import with_values

# Is asked with the stack's addresses and the time at which the program was started.
IsReady = Callable[[StackAddresses, float], Awaitable[bool]]
_WORKER_QUEUE = "memory"
_TEMPORAL = "TEMPORAL_"


@dataclass(frozen=True)
class ProgramPlan:
    """How to run one of our programs; `port` is one that must be free before."""

    title: str
    command: list[str]
    is_ready: IsReady
    port: int | None = None
    port_variable: str | None = None
    stop_seconds: float = 15.0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        return self.title.lower().replace(" ", "_")


class Program(Server):
    """One of our programs, told by its environment where the others are."""

    start_seconds = 120.0  # a model has to be read first

    def __init__(
        self, plan: ProgramPlan, addresses: StackAddresses, environment: dict[str, str], folder: Path, log: Path
    ) -> None:
        super().__init__(folder, log=log, pid_file=folder / f"{plan.file_name}.pid")
        self.title = plan.title
        self.stop_seconds = plan.stop_seconds
        self._plan = plan
        self._addresses = addresses
        self._environment = environment
        self._started = 0.0

    def command(self) -> list[str]:
        return self._plan.command

    def environment(self) -> dict[str, str]:
        # A key or certificate for another Temporal would keep them from ours: here, and in the `.env` that they read.
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_TEMPORAL)}
        not_ours = dict.fromkeys((name for name in dotenv_values(Path(".env")) if name.startswith(_TEMPORAL)), "")
        values = {**not_ours, **self._environment, **self._plan.environment, "PYTHONUNBUFFERED": "1"}
        return with_values(ours, values)

    def working_folder(self) -> Path:
        # They read the same `.env` as we do.
        return Path.cwd()

    async def prepare(self) -> None:
        if self._plan.port:
            check_free(self._plan.port, self.title, self._plan.port_variable)
        self._started = time.time()

    async def is_ready(self) -> bool:
        return await self._plan.is_ready(self._addresses, self._started)


def environment_of(addresses: StackAddresses) -> dict[str, str]:
    return {
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "TEMPORAL_UI_URL": addresses.temporal_ui_url,
        "LLM_PROXY_URL": addresses.llm_proxy_url,
        # Memories stay on this machine unless somebody says otherwise: a key for the platform alone does not.
        "MEM0_BACKEND": os.environ.get("MEM0_BACKEND") or "open_source",
        **({"IMPORT_FOLDER": addresses.import_folder} if addresses.import_folder else {}),
    }


def our_programs(llm_proxy_port: int, memory_api_port: int) -> list[ProgramPlan]:
    proxy = ProgramPlan(
        "LLM proxy",
        [sys.executable, "-m", "services.llm_proxy"],
        _proxy_is_ready,
        port=llm_proxy_port,
        port_variable="LLM_PROXY_PORT",
        environment={"LLM_PROXY_HOST": "127.0.0.1", "LLM_PROXY_PORT": str(llm_proxy_port)},
    )
    # Longer than the worker itself waits for a model's answer: cut off, it would be paid for twice.
    worker = ProgramPlan("Worker", [sys.executable, "-m", "services.worker"], _worker_is_ready, stop_seconds=100.0)
    api = ProgramPlan(
        "Memory API",
        [sys.executable, "-m", "services.memory_api"],
        _api_is_ready,
        port=memory_api_port,
        port_variable="MEMORY_API_PORT",
        environment={"MEMORY_API_HOST": "127.0.0.1", "MEMORY_API_PORT": str(memory_api_port)},
    )
    return [proxy, worker, api]


async def _proxy_is_ready(addresses: StackAddresses, started: float) -> bool:
    del started
    return await _is_ready(addresses.llm_proxy_url)


async def _api_is_ready(addresses: StackAddresses, started: float) -> bool:
    del started
    return addresses.api_url is not None and await _is_ready(addresses.api_url)


async def _is_ready(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        try:
            return (await client.get("/ready")).is_success
        except httpx.HTTPError:
            return False


async def _worker_is_ready(addresses: StackAddresses, started: float) -> bool:
    """Tell whether it asks Temporal for work; the pollers of a worker before it are remembered for minutes."""
    try:
        client = await Client.connect(addresses.temporal_address)
        queue = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=NAMESPACE,
                task_queue=TaskQueue(name=_WORKER_QUEUE),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
    except (RPCError, RuntimeError):
        return False
    since = datetime.fromtimestamp(started, UTC)
    return any(poller.last_access_time.ToDatetime(UTC) >= since for poller in queue.pollers)
