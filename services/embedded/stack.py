"""Everything that Afterturn needs, on one machine, from one process."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from services.embedded.addresses import StackAddresses, StackFiles
from services.embedded.model_choice import ModelChoice, choose_models
from services.embedded.ports import LOOPBACK, check_free
from services.embedded.postgres_server import PostgresServer
from services.embedded.program import Program, ProgramPlan, environment_of, our_programs
from services.embedded.redis_server import RedisServer
from services.embedded.server import Server
from services.embedded.steps import OnStep, silent
from services.embedded.supervision import keep_running
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from services.settings import EmbeddedSettings


class EmbeddedStack:
    """Postgres, Redis, Temporal, the LLM proxy, a worker and the memory API, while its body runs.

    What dies is started again; a server that somebody stops by its `stop` stays stopped. Enter it in the main thread:
    on Linux the servers end with the thread that started them.
    """

    def __init__(
        self, settings: EmbeddedSettings, *, programs: Sequence[ProgramPlan] | None = None, on_step: OnStep = silent
    ) -> None:
        self._settings = settings
        self._on_step = on_step
        self._plans = list(_programs(settings) if programs is None else programs)
        folder = settings.afterturn_folder.absolute()
        self._folder = folder
        self._files = StackFiles(folder)
        data, logs, run = folder / "data", folder / "logs", folder / "run"
        self.postgres = PostgresServer(
            data / "postgres", log=logs / "postgres.log", pid_file=run / "postgres.pid", on_step=on_step
        )
        self.redis = RedisServer(
            data / "redis", port=settings.redis_port, log=logs / "redis.log", pid_file=run / "redis.pid"
        )
        self.temporal = TemporalServer(
            data,
            port=settings.temporal_port,
            ui_port=settings.temporal_ui_port,
            log=logs / "temporal.log",
            pid_file=run / "temporal.pid",
            on_step=on_step,
        )
        self.addresses = StackAddresses(
            database_url=self.postgres.url,
            redis_url=self.redis.url,
            temporal_address=self.temporal.address,
            temporal_ui_url=self.temporal.ui_url,
            llm_proxy_url=f"http://{LOOPBACK}:{settings.llm_proxy_port}",
            api_url=f"http://{LOOPBACK}:{settings.memory_api_port}",
            # Commands and worker may stand in different folders.
            import_folder=str(Path(os.environ.get("IMPORT_FOLDER") or folder / "imports").absolute()),
        )
        self.programs: list[Program] = []
        self.models: ModelChoice | None = None
        self._exit = AsyncExitStack()

    @property
    def servers(self) -> list[Server]:
        """All of it in the order in which it is started."""
        return [self.postgres, self.redis, self.temporal, *self.programs]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exit_:
            await self._files.claim()
            exit_.callback(self._files.release)
            await self._choose_programs()
            await self._clear()
            for server in self.servers:
                await self._start(server, exit_)
            self._files.publish(self.addresses)
            self._watch(exit_)
            self._exit = exit_.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def wait_for_stop_signal(self) -> None:
        """Return at Ctrl-C or SIGTERM."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, stop.set)
        try:
            await stop.wait()
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _choose_programs(self) -> None:
        settings = self._settings
        self.models = await choose_models(
            settings.ollama_url_internal, settings.summary_model, settings.embedding_model
        )
        self._on_step("Models", "note", self.models.reason)
        environment = {**environment_of(self.addresses), **self.models.environment()}
        if settings.chunk_tokens:
            environment["CHUNK_TOKENS"] = str(settings.chunk_tokens)
        self.programs = [
            Program(
                plan, self.addresses, environment, self._folder / "run", self._folder / f"logs/{plan.file_name}.log"
            )
            for plan in self._plans
        ]

    async def _clear(self) -> None:
        """End what a killed stack left behind, users before what they use, then see that every port is free."""
        for server in reversed(self.servers):
            if await asyncio.to_thread(server.end_leftover):
                self._on_step(server.title, "note", "ended the one that an earlier run left behind")
        check_free(self.redis.port, self.redis.title, "REDIS_PORT")
        self.temporal.check_ports()
        for plan in self._plans:
            if plan.port:
                check_free(plan.port, plan.title, plan.port_variable)

    async def _start(self, server: Server, exit_: AsyncExitStack) -> None:
        self._on_step(server.title, "working", "starting")
        await server.start()
        exit_.push_async_callback(self._stop, server)
        if server is self.postgres:
            await upgrade(self.addresses.database_url)
        self._on_step(server.title, "ready", "")

    async def _stop(self, server: Server) -> None:
        await server.stop()
        self._on_step(server.title, "stopped", "")

    def _watch(self, exit_: AsyncExitStack) -> None:
        watchers = [asyncio.create_task(keep_running(server, self._on_step)) for server in self.servers]
        exit_.push_async_callback(_cancel, watchers)


def _programs(settings: EmbeddedSettings) -> list[ProgramPlan]:
    return our_programs(settings.llm_proxy_port, settings.memory_api_port)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
