"""Temporal's real server, as compose runs it, on a Postgres of its own. `make proof` builds its programs."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.embedded.ports import accepts, free_port
from services.embedded.server import Server
from services.embedded.temporal_server import NAMESPACE
from tests.support.compose_images import Image, make_cluster, system_postgres
from tests.support.go_programs import TEMPORAL_SERVER

COMPOSE = Path(__file__).parents[2] / "compose" / "temporal"
USER, PASSWORD = "temporal", "temporal"
# Fewer than compose has: a server that is killed takes each of them again when it starts.
SHARDS = 16
PORT = 7233
_STEP_SECONDS = 120
_RETENTION_SECONDS = 7 * 24 * 3_600


class TemporalsPostgres(Server):
    """Debian's Postgres with `btree_gin`, by TCP; commits wait for the disk as they do by default."""

    title = "Temporal's Postgres"
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path, *, port: int | None = None, log: Path | None = None) -> None:
        super().__init__(folder, log=log)
        self.port = port or free_port()
        self._programs = system_postgres()
        self._account: str | None = None

    def user(self) -> str | None:
        return self._account

    async def prepare(self) -> None:
        if not (self.folder / "cluster").exists():
            told = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD}
            self._account = await asyncio.to_thread(make_cluster, Image([self._programs]), told, self.folder, None)

    def command(self) -> list[str]:
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        settings = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
        return [str(self._programs / "postgres"), "-D", str(self.folder / "cluster"), *settings]

    async def is_ready(self) -> bool:
        return accepts(self.port)


class TemporalOnPostgres(Server):
    """Listens on a loopback address of its own, since its ports stand in compose's configuration."""

    title = "Temporal"
    start_seconds = 120.0

    def __init__(self, folder: Path, postgres: TemporalsPostgres, *, log: Path | None = None) -> None:
        super().__init__(folder, log=log)
        self.postgres = postgres
        process = os.getpid()
        self.host = f"127.{process // 250 % 250 + 2}.{process % 250 + 2}.250"
        self.metrics_port = free_port()

    @property
    def address(self) -> str:
        return f"{self.host}:{PORT}"

    @property
    def ui_url(self) -> str:
        return "http://127.0.0.1"

    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        return mine | {
            "PATH": f"{TEMPORAL_SERVER.where}:{mine['PATH']}",
            "SQL_PLUGIN": "postgres12",
            "SQL_HOST": "127.0.0.1",
            "SQL_PORT": str(self.postgres.port),
            "SQL_USER": USER,
            "SQL_PASSWORD": PASSWORD,
            "TEMPORAL_BIND": self.host,
            "TEMPORAL_SELF": self.host,
            "TEMPORAL_METRICS": f"127.0.0.1:{self.metrics_port}",
            "TEMPORAL_DYNAMIC_CONFIG": str(COMPOSE / "dynamic.yaml"),
            "TEMPORAL_SHARDS": str(SHARDS),
        }

    async def prepare(self) -> None:
        made = self.folder / "schema-is-there"
        if not made.exists():
            await self._run("/bin/sh", str(COMPOSE / "schema.sh"))
            made.touch()

    def command(self) -> list[str]:
        where = ["--root", str(COMPOSE), "--config", ".", "--env", "core"]
        return [str(TEMPORAL_SERVER.where / "temporal-server"), *where, "--allow-no-auth", "start"]

    async def is_ready(self) -> bool:
        try:
            client = await Client.connect(self.address)
            await self._make_namespace(client)
            # It looks for new namespaces every few seconds only.
            await client.count_workflows()
        except (RPCError, RuntimeError):
            return False
        return True

    async def _make_namespace(self, client: Client) -> None:
        made = self.folder / "namespace-is-there"
        if not made.exists():
            wanted = RegisterNamespaceRequest(namespace=NAMESPACE)
            wanted.workflow_execution_retention_period.FromSeconds(_RETENTION_SECONDS)
            with suppress(RPCError):  # an attempt before this one made it
                await client.workflow_service.register_namespace(wanted)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
            made.touch()

    async def _run(self, *command: str) -> None:
        def run() -> None:
            with self.log.open("ab") as log:
                subprocess.run(
                    command, env=self.environment(), stdout=log, stderr=log, timeout=_STEP_SECONDS, check=True
                )

        await asyncio.to_thread(run)


@asynccontextmanager
async def temporal_on_postgres(folder: Path) -> AsyncIterator[TemporalOnPostgres]:
    """Start both on an empty folder; call it in the main thread."""
    async with (
        TemporalsPostgres(folder / "postgres") as postgres,
        TemporalOnPostgres(folder / "server", postgres) as server,
    ):
        yield server
