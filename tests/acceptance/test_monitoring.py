"""What operators see of a running system: figures of the worker and of the schedules, and logs that name their runs."""

import asyncio
import json
import re
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import room_memory_id
from afterturn_client.temporal_connection import open_temporal
from sqlalchemy import text

from services.domain.credentials import make_key
from services.domain.errors import InvalidInputError
from services.domain.memories import owner_of
from services.embedded.ports import free_port
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources, open_resources
from services.settings import LogSettings, WorkerMetricsSettings, load
from services.worker.metrics import open_runtime
from tests.support.compose_figures import figures_read, figures_told
from tests.support.main_job import RECORD_SECONDS
from tests.support.mem0_server import Mem0Server
from tests.support.memory_api import running_api
from tests.support.openai_server import OpenAIServer, Status
from tests.support.platform_store import said
from tests.support.rooms import until_digested
from workflows.names import ANALYZE_MEMORY_SCHEDULE, MEMORY_QUEUE, RECONCILE_MEM0_SCHEDULE

ANA = owner_of("user", "ana")
ROOT = Path(__file__).parents[2]
FAILED = {"temporal_workflow_task_execution_failed_total", "temporal_activity_execution_failed_total"}
ARCHIVE_FAILED = re.compile(r'^temporal_activity_execution_failed_total\{.*activity_type="archive"', re.MULTILINE)


@pytest.fixture
async def worker(mem0: Mem0Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A worker that tells its figures at this address, and logs JSON into `worker.log`."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("WORKER_METRICS", address)
    monkeypatch.setenv("LOG_FORMAT", "json")
    with (tmp_path / "worker.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.worker", cwd=ROOT, stdout=log, stderr=log
        )
        yield address
        process.terminate()
        await process.wait()


async def test_worker_schedules_and_drift_are_told(
    worker: str, mem0: Mem0Server, model: OpenAIServer, tmp_path: Path
) -> None:
    async with open_resources() as resources, MemoryClient.connect(seconds=RECORD_SECONDS) as memory:
        model.fault, asked = Status(503, retry_after="1"), model.calls.total()
        await memory.record_turn("user:ana", user="I moved to Lima.", assistant="Noted.")
        async with asyncio.timeout(60):
            while model.calls.total() == asked:
                await asyncio.sleep(0.05)
        model.fault = None
        await until_digested(resources, "user:ana", 2)
        await schedules_and_drift_are_told(resources, mem0)
        await something_fails(resources, memory)
        of_worker = await until_told_of_failures(worker)
    assert re.search(r'^afterturn_mem0_drift\{kind="missing_in_mem0",.* 1$', of_worker, re.MULTILINE)
    assert "user:ana" not in of_worker
    lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines()]
    assert "worker started: memory,llm,mem0" in [line["message"] for line in lines]
    [failed, *_] = [line for line in lines if line.get("step") == "archive"]
    assert failed["workflow_id"] == room_memory_id("user:ana")
    assert "broken" not in failed["message"]


async def something_fails(resources: Resources, memory: MemoryClient) -> None:
    """Let a step break a constraint, and let a run be encrypted with a key that the worker lacks."""
    async with resources.database.transaction() as session:
        await session.execute(text("reset role"))
        await session.execute(text("alter table messages add check (content not like '%broken%')"))
    await memory.record_turn("user:ana", user="It is broken.", assistant="Noted.")
    keys = f"lost:{b64encode(bytes(32)).decode()}"
    stranger = await open_temporal(payload_keys=keys)
    await stranger.start_workflow("ProcessRooms", {}, id="unreadable", task_queue=MEMORY_QUEUE)


async def until_told_of_failures(worker: str) -> str:
    """Give the worker's figures once all that dashboard and alerts read are told, and that archiving has failed."""
    wanted = figures_read(ROOT / "compose", "temporal_") | FAILED
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http, asyncio.timeout(60):
        while True:
            told = (await http.get(f"http://{worker}/metrics")).text
            if wanted <= figures_told(told) and ARCHIVE_FAILED.search(told):
                return told
            await asyncio.sleep(0.2)


async def schedules_and_drift_are_told(resources: Resources, mem0: Mem0Server) -> None:
    key = make_key()
    await ApiKeys(resources.database).add(key, name="p", scopes=("admin",), binding=Binding(), expires_at=None)
    headers = {"Authorization": f"Bearer {key.key}"}
    # Both run when they are told to, and not at the full hour.
    for schedule_id in (ANALYZE_MEMORY_SCHEDULE, RECONCILE_MEM0_SCHEDULE):
        await resources.temporal.get_schedule_handle(schedule_id).pause()
    assert resources.memory_store is not None
    for slug in ("user_city", "user_name"):
        await resources.memory_store.save(ANA, said(slug, f"Ana's {slug}."))
    mem0.memories.by_id.popitem()
    await resources.temporal.get_schedule_handle(RECONCILE_MEM0_SCHEDULE).trigger()
    async with (
        running_api() as url,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as api,
        asyncio.timeout(60),
    ):
        # Until then the last drift may be that of a run at the full hour.
        while (told := await figures(api)).get('afterturn_mem0_last_drift{kind="missing_in_mem0"}') != 1:
            await asyncio.sleep(0.2)
        assert told['afterturn_mem0_last_drift{kind="duplicates"}'] == 0
        assert told['afterturn_schedule_every_seconds{schedule="reconcile-mem0"}'] == 3_600
        assert 0 <= told['afterturn_schedule_last_run_seconds{schedule="reconcile-mem0"}'] < 60
        assert told['afterturn_schedule_paused{schedule="process-rooms"}'] == 0
        while told['afterturn_schedule_paused{schedule="analyze-memory"}'] == 0:
            told = await figures(api)
        assert 'afterturn_schedule_last_run_seconds{schedule="analyze-memory"}' not in told


async def figures(api: httpx.AsyncClient) -> dict[str, float]:
    answer = await api.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {name: float(value) for name, value in re.findall(r"^(afterturn_\S+) (\S+)$", answer.text, re.MULTILINE)}


async def test_of_a_server_that_is_away_only_that_is_told(
    environment: None, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    async with running_api() as url, httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as api:
        told = await figures(api)
    assert told['afterturn_server_up{server="temporal"}'] == 0
    assert told['afterturn_server_up{server="redis"}'] == told['afterturn_server_up{server="postgres"}'] == 1
    assert not [name for name in told if "schedule" in name]


@pytest.mark.parametrize("address", ["9464", "localhost:9464", "127.0.0.1", "{taken}"])
def test_a_place_that_cannot_be_listened_at_ends_the_start(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("WORKER_METRICS", address.format(taken=f"127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(InvalidInputError, match=r"^WORKER_METRICS: "):
            open_runtime(load(WorkerMetricsSettings), load(LogSettings))
