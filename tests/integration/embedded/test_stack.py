import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from services.embedded.addresses import read_running_stack
from services.embedded.errors import PortTakenError, StackAlreadyRunningError
from services.embedded.ports import free_port
from services.embedded.stack import EmbeddedStack
from services.embedded.steps import StepState
from services.embedded.waiting import wait_until
from services.postgres.migrate import is_current
from services.settings import EmbeddedSettings
from tests.support.servers import short_folder
from tests.support.stand_ins import stand_ins

_ROOT = Path(__file__).parents[3]
_START_SECONDS = 100
_SOON = 60


@dataclass
class Steps:
    told: list[tuple[str, StepState, str]] = field(default_factory=list)

    def __call__(self, name: str, state: StepState, detail: str) -> None:
        self.told.append((name, state, detail))

    def have(self, name: str, state: StepState, part: str = "") -> bool:
        return any(one[:2] == (name, state) and part in one[2] for one in self.told)


@pytest.fixture
def settings() -> Iterator[EmbeddedSettings]:
    with short_folder() as folder:
        yield EmbeddedSettings(
            afterturn_folder=folder / ".afterturn",
            redis_port=free_port(),
            temporal_port=free_port(),
            temporal_ui_port=free_port(),
            llm_proxy_port=free_port(),
            ollama_url_internal="",
            summary_model=None,
            embedding_model=None,
        )


@contextmanager
def stack_process(settings: EmbeddedSettings) -> Iterator[subprocess.Popen[bytes]]:
    ports = (settings.redis_port, settings.temporal_port, settings.temporal_ui_port, settings.llm_proxy_port)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.stack_process", str(settings.afterturn_folder), *map(str, ports)],
        cwd=_ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def of_folder(folder: Path) -> list[psutil.Process]:
    """Find what runs for this stack, by what it was started with."""
    places = (str(folder), *(f"/proc/{pid}" for pid in _pids(folder)))
    return [process for process in psutil.process_iter() if _mentions(process, places)]


def _pids(folder: Path) -> list[int]:
    return [json.loads(file.read_text())["pid"] for file in (folder / "run").glob("*.pid")]


def _mentions(process: psutil.Process, places: tuple[str, ...]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return f"/proc/{process.pid}" in places or any(places[0] in part for part in process.cmdline())
    except psutil.Error:
        return False


async def test_it_runs_publishes_its_addresses_and_stops_clean(settings: EmbeddedSettings) -> None:
    folder, steps = settings.afterturn_folder, Steps()
    async with EmbeddedStack(settings, programs=stand_ins(settings.llm_proxy_port), on_step=steps) as stack:
        written = json.loads((folder / "stack.json").read_text())
        assert written == {
            "database_url": stack.postgres.url,
            "redis_url": f"redis://127.0.0.1:{settings.redis_port}/0",
            "temporal_address": f"127.0.0.1:{settings.temporal_port}",
            "temporal_ui_url": f"http://127.0.0.1:{settings.temporal_ui_port}",
            "llm_proxy_url": f"http://127.0.0.1:{settings.llm_proxy_port}",
            "api_url": f"http://127.0.0.1:{settings.memory_api_port}",
            "import_folder": str(folder / "imports"),
            "pid": os.getpid(),
        }
        assert await is_current(written["database_url"])
        running = read_running_stack(folder)
        assert running is not None
        assert running.model_dump(exclude_none=True) == written
        assert len(_pids(folder)) == 5
        runs = of_folder(folder)
    assert len(runs) >= 5
    assert of_folder(folder) == []
    assert read_running_stack(folder) is None
    names = [name for name, state, _ in steps.told if state == "stopped"]
    assert names == ["Worker", "LLM proxy", "Temporal", "Redis", "Postgres"]


async def test_a_child_is_told_where_the_others_are(settings: EmbeddedSettings) -> None:
    async with EmbeddedStack(settings, programs=stand_ins(settings.llm_proxy_port)) as stack:
        worker = psutil.Process(stack.programs[1].pid)
        # Empty for an instant each time that it becomes another program.
        async with asyncio.timeout(_SOON):
            while "DATABASE_URL" not in (told := worker.environ()):
                await asyncio.sleep(0.02)
    assert told["DATABASE_URL"] == stack.addresses.database_url
    assert told["REDIS_URL"] == stack.addresses.redis_url
    assert told["TEMPORAL_ADDRESS"] == stack.addresses.temporal_address
    assert told["LLM_PROXY_URL"] == stack.addresses.llm_proxy_url
    assert (told["SUMMARY_MODEL"], told["EMBEDDING_MODEL"]) == ("smollm2-135m-instruct", "multilingual-e5-small")
    assert told["EMBEDDED_MODELS"] == "true"


async def test_what_dies_is_started_again_and_what_is_stopped_stays_so(settings: EmbeddedSettings) -> None:
    steps = Steps()
    async with EmbeddedStack(settings, programs=stand_ins(settings.llm_proxy_port), on_step=steps) as stack:
        async with Redis.from_url(stack.addresses.redis_url) as redis:
            await redis.set("kept", "yes")
        await stack.temporal.stop()
        for server in (stack.redis, stack.programs[1]):
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
        assert await wait_until(lambda: steps.have("Redis", "ready", "again"), _SOON)
        assert await wait_until(lambda: steps.have("Worker", "ready", "again"), _SOON)
        assert steps.have("Redis", "died", "killed by SIGKILL; starting it again in 1 s")
        async with Redis.from_url(stack.addresses.redis_url, decode_responses=True) as redis:
            assert await redis.get("kept") == "yes"
        assert stack.temporal.pid is None


async def test_a_second_start_is_refused_with_the_addresses_of_the_first(settings: EmbeddedSettings) -> None:
    plans = stand_ins(settings.llm_proxy_port)
    async with EmbeddedStack(settings, programs=plans) as stack:
        with pytest.raises(StackAlreadyRunningError) as refused:
            await EmbeddedStack(settings, programs=plans).__aenter__()
        assert refused.value.pid == os.getpid()
        assert stack.addresses.temporal_ui_url in str(refused.value)
        assert stack.redis.pid is not None


async def test_a_taken_port_is_told_before_anything_is_started(settings: EmbeddedSettings) -> None:
    steps = Steps()
    with (
        socket.create_server(("127.0.0.1", settings.llm_proxy_port)),
        pytest.raises(PortTakenError, match="for LLM proxy is taken; free it, or choose another with LLM_PROXY_PORT"),
    ):
        await EmbeddedStack(settings, programs=stand_ins(settings.llm_proxy_port), on_step=steps).__aenter__()
    assert not any(state == "working" for _, state, _ in steps.told)
    assert read_running_stack(settings.afterturn_folder) is None


async def test_a_killed_supervisor_leaves_no_orphan_and_the_next_goes_on(settings: EmbeddedSettings) -> None:
    folder = settings.afterturn_folder
    with stack_process(settings) as process:
        assert await wait_until(lambda: read_running_stack(folder) is not None, _START_SECONDS)
        running = read_running_stack(folder)
        assert running is not None
        async with Redis.from_url(running.redis_url) as redis:
            await redis.set("kept", "yes")
        connection = await asyncpg.connect(running.database_url)
        await connection.execute("create table kept (number int)")
        await connection.close()
        process.kill()
        process.wait(10)
        assert await wait_until(lambda: of_folder(folder) == [], _SOON)
        assert read_running_stack(folder) is None
    async with EmbeddedStack(settings, programs=stand_ins(settings.llm_proxy_port)) as stack:
        async with Redis.from_url(stack.addresses.redis_url, decode_responses=True) as redis:
            assert await redis.get("kept") == "yes"
        connection = await asyncpg.connect(stack.addresses.database_url)
        assert await connection.fetchval("select count(*) from kept") == 0
        await connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_signal_stops_all_of_it(settings: EmbeddedSettings, number: signal.Signals) -> None:
    folder = settings.afterturn_folder
    with stack_process(settings) as process:
        assert await wait_until(lambda: read_running_stack(folder) is not None, _START_SECONDS)
        process.send_signal(number)
        assert await asyncio.to_thread(process.wait, _SOON) == 0
    assert of_folder(folder) == []
