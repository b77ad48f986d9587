"""Runs a compose file without containers: each service's own command, environment and health check, in its order.

A service has an address of its own on loopback (Linux has 127.0.0.0/8), so that every port is the one that the file
says. What is not like in containers: no limits, no networks that keep services apart, no read-only file systems.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.embedded.errors import ServerFailedError
from services.embedded.server import Server
from tests.support.compose_file import ComposeService
from tests.support.compose_images import Image, Images, make_cluster

ROOT = Path(__file__).parents[2]
_ONCE_SECONDS = 120
_OWN = re.compile(r"\b(?:0\.0\.0\.0|127\.0\.0\.1|localhost)\b")


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


class ComposeRun:
    """`env_file` stands for `compose/.env`, as far as services read it."""

    def __init__(
        self,
        services: Mapping[str, ComposeService],
        folder: Path,
        images: Images,
        env_file: Mapping[str, str],
        compose_folder: Path = ROOT / "compose",
    ) -> None:
        self.services = services
        self.addresses = {name: _address(number) for number, name in enumerate(sorted(services), start=1)}
        self.folder = folder
        self._images = images
        self._env_file = env_file
        self._compose_folder = compose_folder
        self.order: list[str] = []

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Start every service when what it waits for is so far; those that run once have ended well by then."""
        async with AsyncExitStack() as stack:
            for service in _in_order(self.services):
                self._check_waits(service)
                if service.runs_once:
                    done = await self.run(service.name)
                    assert done.code == 0, f"{service.name}: {done.out}{done.err}"
                else:
                    await stack.enter_async_context(_told(_Process(self, service)))
                self.order.append(service.name)
            yield

    async def run(self, name: str, *command: str) -> Finished:
        """Run a service's command, or another one in its place, to its end."""
        service = self.services[name]
        words = self.words(service, list(command) or service.command)
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=ROOT,
            env=self.environment(service),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), _ONCE_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Finished(process.returncode or 0, out.decode(), err.decode())

    async def healthy(self, service: ComposeService) -> bool:
        process = await asyncio.create_subprocess_exec(
            *self.words(service, service.health or ["true"]),
            cwd=ROOT,
            env=self.environment(service),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait() == 0

    def image(self, service: ComposeService) -> Image:
        return self._images.of(service)

    def words(self, service: ComposeService, command: list[str]) -> list[str]:
        program, *rest = [self._local(service, word) for word in command]
        found = shutil.which(program, path=self.path(service))
        assert found, f"{service.name}: its image has no {program}"
        return [found, *rest]

    def environment(self, service: ComposeService) -> dict[str, str]:
        ours = {name: self._local(service, value, name) for name, value in service.environment.items()}
        given = self._env_file if service.reads_env_file else {}
        python = {"PYTHONPATH": f"{ROOT}:{ROOT / 'services' / 'client'}", "PYTHONUNBUFFERED": "1"}
        return {"PATH": self.path(service), "HOME": str(self.folder), **python, **given, **ours}

    def path(self, service: ComposeService) -> str:
        return ":".join([*map(str, self.image(service).programs), os.environ["PATH"]])

    def place(self, service: ComposeService, target: str) -> Path:
        """Return the folder that stands for a mounted one."""
        source = service.mounts[target]
        if source.startswith("."):
            return (self._compose_folder / source).resolve()
        folder = self.folder / "volumes" / source
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _local(self, service: ComposeService, text: str, variable: str = "") -> str:
        """Write other services' names, its own address and mounted folders as they are on this machine."""
        if variable.endswith("_HOST") and text in self.addresses:
            return self.addresses[text]
        text = _OWN.sub(self.addresses[service.name], text)
        for name, address in self.addresses.items():
            text = re.sub(rf"(?<![\w.-]){name}(?=:\d)", address, text)
        for target in service.mounts:
            text = re.sub(rf"(?<![\w/]){re.escape(target)}(?=/|$)", str(self.place(service, target)), text)
        return text

    def _check_waits(self, service: ComposeService) -> None:
        for other, condition in service.waits_for.items():
            waited = self.services[other]
            assert other in self.order
            assert waited.runs_once == (condition == "service_completed_successfully"), (service.name, other)
            assert waited.health or condition != "service_healthy", (service.name, other)


class _Process(Server):
    """One service that stays."""

    start_seconds = 90.0
    stop_seconds = 30.0

    def __init__(self, run: ComposeRun, service: ComposeService) -> None:
        super().__init__(run.folder / "run" / service.name)
        self.title = service.name
        self._run = run
        self._service = service
        self._image = run.image(service)
        self._account: str | None = None

    def command(self) -> list[str]:
        words = self._run.words(self._service, self._service.command)
        # Where the image's Postgres was built to have its socket, nobody but a system's may.
        return [*words, "-c", f"unix_socket_directories={self._data}"] if self._image.data else words

    def environment(self) -> dict[str, str]:
        ours = self._run.environment(self._service)
        return {**ours, "PGDATA": str(self._data / "cluster")} if self._image.data else ours

    def working_folder(self) -> Path:
        return self._data if self._image.data else ROOT

    def user(self) -> str | None:
        return self._account

    async def prepare(self) -> None:
        if self._image.data:
            scripts = "/docker-entrypoint-initdb.d"
            mounted = self._run.place(self._service, scripts) if scripts in self._service.mounts else None
            told = self._run.environment(self._service)
            self._account = await asyncio.to_thread(make_cluster, self._image, told, self._data, mounted)

    async def is_ready(self) -> bool:
        return await self._run.healthy(self._service)

    @property
    def _data(self) -> Path:
        assert self._image.data
        return self._run.place(self._service, self._image.data)


@asynccontextmanager
async def _told(process: _Process) -> AsyncIterator[None]:
    """Say what a service wrote that did not become healthy."""
    try:
        await process.start()
    except ServerFailedError as error:
        raise AssertionError(f"{error}\n{process.log.read_text()[-4_000:]}") from None
    try:
        yield
    finally:
        await process.stop()


def _in_order(services: Mapping[str, ComposeService]) -> list[ComposeService]:
    """Put each one behind what it waits for."""
    ordered: dict[str, ComposeService] = {}

    def add(service: ComposeService) -> None:
        for other in service.waits_for:
            add(services[other])
        ordered.setdefault(service.name, service)

    for service in services.values():
        add(service)
    return list(ordered.values())


def _address(number: int) -> str:
    process = os.getpid()
    return f"127.{process // 250 % 250 + 2}.{process % 250 + 2}.{number}"
