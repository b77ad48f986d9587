"""What the images of the compose file bring, from packages and programs of this machine instead."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from services.embedded import postgres_account
from services.embedded.postgres_server import postgres_program
from services.embedded.redis_server import redis_program
from tests.support.compose_file import ComposeService
from tests.support.go_programs import TEMPORAL_SERVER

_SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
_NC = """#!{python}
import socket, sys
socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=3).close()
"""
_PYTHON = """#!/bin/sh
exec {python} "$@"
"""
_AFTERTURN = """#!/bin/sh
exec {python} -m services.cli "$@"
"""


@dataclass(frozen=True)
class Image:
    """`programs` go before the machine's own; `data` is where a database's image keeps its data."""

    programs: list[Path]
    data: str | None = None


class Images:
    """`python` is the interpreter of our own images."""

    def __init__(self, folder: Path, temporal_cli: Path, python: Path = Path(sys.executable)) -> None:
        self._tools = folder / "tools"
        self._tools.mkdir()
        _script(self._tools / "nc", _NC.format(python=sys.executable))
        _script(self._tools / "afterturn", _AFTERTURN.format(python=python))
        # No link: it would look for its packages beside itself.
        _script(self._tools / "python", _PYTHON.format(python=python))
        (self._tools / "temporal").symlink_to(temporal_cli)

    def of(self, service: ComposeService) -> Image:
        match service.image.partition(":")[0]:
            case "pgvector/pgvector":
                return Image([postgres_program("postgres").parent], data="/var/lib/postgresql")
            case "postgres":
                return Image([system_postgres()], data="/var/lib/postgresql/data")
            case "redis":
                return Image([redis_program().parent])
            case "temporalio/server" | "temporalio/admin-tools":
                return Image([TEMPORAL_SERVER.where, self._tools])
            case name if name.startswith("afterturn/"):
                return Image([self._tools])
        raise LookupError(service.image)


def system_postgres() -> Path:
    """Return the programs of a Postgres with `btree_gin`, which Temporal's schema needs and our package lacks."""
    found = [
        release / "bin"
        for release in sorted(_SYSTEM_POSTGRES.glob("*"), reverse=True)
        if Path(f"/usr/share/postgresql/{release.name}/extension/btree_gin.control").exists()
    ]
    if not found:
        raise LookupError("no Postgres with btree_gin")
    return found[0]


def make_cluster(image: Image, environment: dict[str, str], folder: Path, scripts: Path | None) -> str | None:
    """Do what the image does on a new data folder: a cluster, a superuser, its database, and the mounted scripts.

    Returns the account that it must run under.
    """
    account = postgres_account.account_for(folder)
    postgres_account.own(folder, account)
    postgres_account.open_way(folder, image.programs[0])
    user, password = environment.get("POSTGRES_USER", "postgres"), environment["POSTGRES_PASSWORD"]
    secret = folder / "password"
    secret.write_text(password)
    shutil.chown(secret, account) if account else None
    cluster, binaries = folder / "cluster", image.programs[0]
    _as(account, binaries / "initdb", "-D", cluster, "-U", user, f"--pwfile={secret}", "--auth=scram-sha-256")
    with (cluster / "pg_hba.conf").open("w") as rules:
        rules.write("local all all trust\nhost all all all scram-sha-256\n")
    options = f"-c listen_addresses= -c unix_socket_directories={folder}"
    _as(account, binaries / "pg_ctl", "-D", cluster, "-w", "-o", options, "-l", folder / "first.log", "start")
    try:
        told = {**os.environ, **environment, "PGHOST": str(folder), "PATH": f"{binaries}:{os.environ['PATH']}"}
        if user != "postgres":
            _as(account, binaries / "createdb", "-U", user, user, environment=told)
        for script in sorted(scripts.glob("*.sh")) if scripts else ():
            # Not as the account, which may not read the checkout.
            _as(None, "/bin/sh", script, environment=told)
    finally:
        _as(account, binaries / "pg_ctl", "-D", cluster, "-w", "-m", "fast", "stop")
    return account


def _as(account: str | None, *command: str | Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        user=account,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
