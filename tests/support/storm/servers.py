"""Everything that runs in a storm, each behind a link where it is reached by others, and each started again."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from services.embedded.addresses import StackAddresses
from services.embedded.ports import free_port
from services.embedded.postgres_server import PostgresServer
from services.embedded.process_identity import family
from services.embedded.program import Program, environment_of, our_programs
from services.embedded.redis_server import RedisServer
from services.embedded.server import Server
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from tests.support.main_job import EMBEDDING_MODEL, SUMMARY_MODEL
from tests.support.servers import stopped
from tests.support.storm.link import Link, Place
from tests.support.storm.model import FixedModel
from tests.support.storm.plan import Plan, Target
from tests.support.temporal_on_postgres import TemporalOnPostgres, TemporalsPostgres

# A killed process forgets no write that the kernel has. Commits are not synchronous unless our sessions ask for it: one
# that forgets to loses what it committed in the last ten seconds.
POSTGRES = {"fsync": "off", "synchronous_commit": "off", "wal_writer_delay": "10s"}
_SOCKET = ".s.PGSQL.5432"
_LOOK_SECONDS = 0.05
_START_AGAIN_SECONDS = 1.0


@dataclass
class Servers:
    """The processes by name, the ways to them, and how often each was killed."""

    postgres: PostgresServer
    redis: RedisServer
    temporal: TemporalServer | TemporalOnPostgres
    links: dict[str, Link]
    model: FixedModel
    through_links: StackAddresses
    folder: Path
    processes: dict[Target, Server] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)

    async def kill(self, target: Target, *, postmaster_only: bool = False) -> None:
        """Kill it with SIGKILL, as soon as there is something to kill: while it starts, too."""
        server = self.processes[target]
        while server.pid is None:
            await asyncio.sleep(_LOOK_SECONDS)
        if postmaster_only:
            psutil.Process(server.pid).kill()
        else:
            await server.kill()
        self.kills[target] += 1

    async def pause(self, target: Target, seconds: float) -> None:
        """Stop it and all that it started for a while, as a disk that hangs does."""
        pid = self.processes[target].pid
        with stopped(process.pid for process in family(pid)) if pid else nullcontext():
            await asyncio.sleep(seconds)

    @property
    def logs(self) -> list[Path]:
        return sorted((self.folder / "logs").iterdir())


@asynccontextmanager
async def running_servers(folder: Path, plan: Plan) -> AsyncIterator[Servers]:
    """Start everything on an empty folder; call it in the main thread."""
    async with AsyncExitStack() as stack:
        model = FixedModel(plan.seed)
        await stack.enter_async_context(model.server)
        servers = await _servers(folder, model, stack, temporal_on_postgres=plan.temporal_on_postgres)
        for server in servers.processes.values():
            await stack.enter_async_context(server)
            if server is servers.postgres:
                await upgrade(servers.postgres.url)
        yield servers


@asynccontextmanager
async def kept_alive(servers: Servers, seed: int) -> AsyncIterator[None]:
    """Start again what dies while the body runs; leaving waits until all of it is back."""
    chance = random.Random(seed)
    ending = asyncio.Event()
    tasks = [asyncio.create_task(_keep_alive(server, chance, ending)) for server in servers.processes.values()]
    try:
        yield
        ending.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_alive(server: Server, chance: random.Random, ending: asyncio.Event) -> None:
    while server.ended_by_itself is not None or not ending.is_set():
        await asyncio.sleep(_LOOK_SECONDS)
        if server.ended_by_itself is not None:
            await _start_again(server, chance)


async def _start_again(server: Server, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0, _START_AGAIN_SECONDS))
        # Whatever it is that a server dies of in the midst of its start: the next one may live.
        with suppress(Exception):
            await server.start()
            return


async def _servers(folder: Path, model: FixedModel, stack: AsyncExitStack, *, temporal_on_postgres: bool) -> Servers:
    logs, run = folder / "logs", folder / "run"
    postgres = PostgresServer(folder / "postgres", settings=POSTGRES, log=logs / "postgres.log")
    redis = RedisServer(folder / "redis", log=logs / "redis.log")
    temporal = _temporal(folder, logs, on_postgres=temporal_on_postgres)
    api, proxy = free_port(), free_port()
    links = {
        "redis": await _link(redis.port, stack),
        "temporal": await _link(_place(temporal.address), stack),
        "proxy": await _link(proxy, stack),
    }
    socket_folder = folder / "pg"
    socket_folder.mkdir()
    ways = {name: link for name, (link, _) in links.items()}
    ways["postgres"] = await stack.enter_async_context(Link(socket_folder / _SOCKET, postgres.socket_folder / _SOCKET))
    direct = StackAddresses(
        database_url=postgres.url,
        redis_url=redis.url,
        temporal_address=temporal.address,
        temporal_ui_url=temporal.ui_url,
        llm_proxy_url=f"http://127.0.0.1:{proxy}",
        api_url=f"http://127.0.0.1:{api}",
    )
    through_links = direct.model_copy(
        update={
            "database_url": f"postgresql://postgres@/{postgres.database}?host={socket_folder}",
            "redis_url": f"redis://127.0.0.1:{links['redis'][1]}/0",
            "temporal_address": f"127.0.0.1:{links['temporal'][1]}",
            "llm_proxy_url": f"http://127.0.0.1:{links['proxy'][1]}",
        }
    )
    servers = Servers(postgres, redis, temporal, ways, model, through_links, folder)
    environment = {**environment_of(through_links), **_settings(model)}
    ours = [
        Program(plan, direct, environment, run, logs / f"{plan.file_name}.log") for plan in our_programs(proxy, api)
    ]
    if isinstance(temporal, TemporalOnPostgres):
        servers.processes |= {"temporal_postgres": temporal.postgres}
    servers.processes |= {"postgres": postgres, "redis": redis, "temporal": temporal}
    servers.processes |= {"proxy": ours[0], "worker": ours[1], "api": ours[2]}
    for program in ours:
        # An orderly end has nothing to wait for: the storm is over and all is digested.
        program.stop_seconds = 5.0
    return servers


def _temporal(folder: Path, logs: Path, *, on_postgres: bool) -> TemporalServer | TemporalOnPostgres:
    log = logs / "temporal.log"
    if not on_postgres:
        return TemporalServer(folder / "temporal", log=log)
    store = TemporalsPostgres(folder / "temporal_postgres", log=logs / "temporal_postgres.log")
    return TemporalOnPostgres(folder / "temporal", store, log=log)


def _settings(model: FixedModel) -> dict[str, str]:
    """Make everything quick, and chunks small."""
    return {
        "SUMMARY_MODEL": SUMMARY_MODEL,
        "EMBEDDING_MODEL": EMBEDDING_MODEL,
        "OPENAI_COMPATIBLE_URL": model.server.url,
        "OLLAMA_URL_INTERNAL": "",
        "LINGER_SECONDS": "1",
        "MAX_WAIT_SECONDS": "5",
        "CHUNK_MESSAGES": "40",
        "API_TIMEOUT": "4",
        "COMPLETION_TIMEOUT": "6",
        "EMBEDDING_TIMEOUT": "3",
        "SHUTDOWN_SECONDS": "2",
    }


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    return host, int(port)


async def _link(there: Place, stack: AsyncExitStack) -> tuple[Link, int]:
    port = free_port()
    return await stack.enter_async_context(Link(port, there)), port
