import os
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.embedded.ports import LOOPBACK, accepts, check_free, free_port
from services.embedded.server import Server
from services.embedded.steps import OnStep, silent
from services.embedded.temporal_cli import find_temporal_cli

NAMESPACE = "default"
# Priorities and fairness hold within a partition of a queue: with one, live chat passes every backlog.
DYNAMIC_CONFIG = (
    "matching.enableFairness=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
)


class TemporalServer(Server):
    """Temporal's development server with its UI, on a file: what it was told is still known after a crash."""

    title = "Temporal"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        ui_port: int | None = None,
        log: Path | None = None,
        pid_file: Path | None = None,
        on_step: OnStep = silent,
    ) -> None:
        super().__init__(folder, log=log, pid_file=pid_file)
        self.port = port or free_port()
        self.ui_port = ui_port or free_port()
        self._on_step = on_step
        self._program: Path | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ui_port}"

    def check_ports(self) -> None:
        check_free(self.port, self.title, "TEMPORAL_PORT")
        check_free(self.ui_port, "Temporal's UI", "TEMPORAL_UI_PORT")

    async def prepare(self) -> None:
        self.check_ports()
        self._program = await find_temporal_cli(on_step=self._on_step)

    def command(self) -> list[str]:
        options = {
            "ip": LOOPBACK,
            "port": str(self.port),
            "ui-port": str(self.ui_port),
            "db-filename": str(self.folder / "temporal.db"),
            "log-level": "error",
        }
        # Ten times as many starts a second as with the defaults, on a file that still survives `kill -9`.
        pragmas = ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
        given = (part for name, value in options.items() for part in (f"--{name}", value))
        dynamic = (part for value in DYNAMIC_CONFIG for part in ("--dynamic-config-value", value))
        return [str(self._program), "server", "start-dev", *given, *dynamic, *pragmas]

    def environment(self) -> dict[str, str]:
        # A profile or an address that is meant for clients is not meant for it.
        return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}

    async def is_ready(self) -> bool:
        if not accepts(self.port) or not accepts(self.ui_port):
            return False
        try:
            client = await Client.connect(self.address)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
        except (RPCError, RuntimeError):
            return False
        return True
