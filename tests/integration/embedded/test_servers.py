import asyncio
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from temporalio.client import Client, WorkflowExecutionStatus

from services.embedded.addresses import StackAddresses
from services.embedded.errors import PortTakenError, ServerFailedError
from services.embedded.ports import free_port
from services.embedded.postgres_server import PostgresServer
from services.embedded.program import Program, ProgramPlan
from services.embedded.redis_server import RedisServer
from services.embedded.server import Server
from services.embedded.temporal_server import TemporalServer


async def _query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _lives(process: psutil.Process) -> bool:
    # One that has ended may be taken away between two looks.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


async def test_redis_is_as_promise_2_asks(redis_url: str) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        told: dict[str | None, str | None] = {}
        for name in ("appendonly", "appendfsync", "maxmemory-policy", "bind", "save"):
            told |= await redis.config_get(name)
    assert told == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
        "save": "",
    }


async def test_redis_keeps_what_it_acknowledged_before_a_kill(folder: Path) -> None:
    async with RedisServer(folder / "redis") as server:
        url = server.url
        async with Redis.from_url(url) as redis:
            await redis.rpush("list", *range(100))
            await server.kill()
        assert server.pid is None
        await server.start()
        assert server.url == url
        async with Redis.from_url(url) as redis:
            assert await redis.llen("list") == 100
        assert stat.S_IMODE((server.folder / "appendonly.aof").stat().st_mode) == 0o600


async def test_a_stopped_server_starts_again_on_its_data(folder: Path) -> None:
    server = RedisServer(folder / "redis")
    async with server:
        async with Redis.from_url(server.url) as redis:
            await redis.set("kept", "yes")
        await server.stop()
        assert not server.pid_file.exists()
        await server.start()
        async with Redis.from_url(server.url, decode_responses=True) as redis:
            assert await redis.get("kept") == "yes"
    assert server.pid is None


async def test_postgres_keeps_what_it_committed_before_a_kill(folder: Path) -> None:
    async with PostgresServer(folder / "postgres") as server:
        url = server.url
        await _query(url, "create table kept as select generate_series(1, 100) as number")
        backends = psutil.Process(server.pid).children()
        await server.kill()
        assert not any(_lives(backend) for backend in backends)
        await server.start()
        assert server.url == url
        assert await _query(url, "select count(*) from kept") == 100


async def test_postgres_has_vectors_unicode_and_no_network(database_url: str) -> None:
    await _query(database_url, "create extension if not exists vector")
    assert await _query(database_url, "select '[1,2]'::vector <-> '[1,4]'") == 2
    assert await _query(database_url, "select lower('ÑANDÚ')") == "ñandú"
    assert await _query(database_url, "show listen_addresses") == ""


async def test_postgres_logs_no_values(folder: Path) -> None:
    async with PostgresServer(folder / "postgres") as server:
        for statement in ("select 'a secret'::int", "syntax error with a secret"):
            with pytest.raises(asyncpg.PostgresError):
                await _query(server.url, statement)
    assert "secret" not in server.log.read_text()


async def test_postgres_starts_where_a_stranger_has_its_old_pid(folder: Path) -> None:
    async with PostgresServer(folder / "postgres") as server:
        await server.kill()
        stale = server.cluster / "postmaster.pid"
        lines = stale.read_text().splitlines()
        stale.write_text("\n".join([str(os.getppid()), *lines[1:]]))
        await server.start()
        assert await _query(server.url, "select 1") == 1


async def test_postgres_under_a_long_path_gets_a_short_socket(folder: Path) -> None:
    deep = folder / ("long" * 30)
    deep.mkdir()
    async with PostgresServer(deep / "postgres") as server:
        assert await _query(server.url, "select 1") == 1
    server.socket_folder.rmdir()


async def test_temporal_still_knows_its_workflows_after_a_kill(folder: Path) -> None:
    async with TemporalServer(folder / "temporal") as server:
        client = await Client.connect(server.address)
        await client.start_workflow("Nobody", id="kept", task_queue="nobody")
        await server.kill()
        await server.start()
        client = await Client.connect(server.address)
        description = await client.get_workflow_handle("kept").describe()
        assert description.status == WorkflowExecutionStatus.RUNNING


def _of_port(folder: Path, port: int) -> list[tuple[str, Server]]:
    return [
        ("Redis", RedisServer(folder / "redis", port=port)),
        ("Temporal", TemporalServer(folder / "temporal", port=port)),
        ("Temporal's UI", TemporalServer(folder / "temporal", ui_port=port)),
    ]


async def test_a_taken_port_is_told_by_name(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for owner, server in _of_port(folder, port):
            with pytest.raises(PortTakenError, match=f"^port {port} for {owner} is taken"):
                await server.start()


def test_no_connection_is_given_a_servers_port_before_it_listens_there() -> None:
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first, last = map(int, told.read_text().split()) if told.exists() else (49_152, 65_535)
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)
    assert not any(first <= port <= last for port in ports)


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in {free_port() for _ in range(10_000)}


def test_processes_that_share_the_ports_out_never_give_the_same_one() -> None:
    given = [set(_ports_of_a_process(number, parts=3)) for number in range(3)]
    assert all(len(ports) > 3_000 for ports in given)
    assert not given[0] & given[1]
    assert not (given[0] | given[1]) & given[2]


def _ports_of_a_process(number: int, *, parts: int) -> list[int]:
    program = (
        "from services.embedded.ports import free_port, take_part_of_ports; "
        f"take_part_of_ports({number}, {parts}); print(*[free_port() for _ in range(5_000)])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(port) for port in ran.stdout.split()]


async def test_a_start_ends_what_an_earlier_run_left_behind(folder: Path) -> None:
    left = RedisServer(folder / "redis")
    await left.start()
    async with RedisServer(folder / "redis", port=left.port) as server:
        assert left.pid is None
        assert server.pid is not None
    await left.stop()


async def test_a_pid_that_went_to_somebody_else_is_left_alone(folder: Path) -> None:
    server = RedisServer(folder / "redis")
    server.pid_file.write_text(f'{{"pid": {os.getpid()}, "created": 1.0}}')
    async with server:
        assert server.pid is not None


async def test_a_server_that_ends_at_its_start_says_so_and_names_its_log(folder: Path) -> None:
    async def never(addresses: StackAddresses, started: float) -> bool:
        await asyncio.sleep(0)
        return not (addresses or started)

    addresses = StackAddresses(database_url="", redis_url="", temporal_address="", temporal_ui_url="", llm_proxy_url="")
    plan = ProgramPlan("Worker", [sys.executable, "-c", "raise SystemExit(7)"], never)
    with pytest.raises(ServerFailedError, match=r"^Worker ended at its start with status 7; its log is .*worker\.log$"):
        await Program(plan, addresses, {}, folder, folder / "worker.log").start()
