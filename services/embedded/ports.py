import itertools
import random
import socket
from collections.abc import Iterator

from services.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"

# Below those that the kernel gives to connections: one of them could sit on a port that was found free until its server
# listens there, or while that server is away. Room above for Redis Cluster, which adds 10,000 for its bus.
_PORTS = range(12_000, 22_000)
# In turn, so that no port is given twice before somebody listens on it; each process begins somewhere else.
_FROM = random.SystemRandom().randrange(len(_PORTS))
_next_ports: Iterator[int] = itertools.cycle((*_PORTS[_FROM:], *_PORTS[:_FROM]))


def check_free(port: int, owner: str, variable: str | None = None) -> None:
    """Raise `PortTakenError` when somebody listens on `port`."""
    if not _is_free(port):
        raise PortTakenError(port, owner, variable)


def free_port() -> int:
    """Find a port for a server that nobody listens on, and that no connection is given before the server starts."""
    for port in itertools.islice(_next_ports, len(_PORTS)):
        if _is_free(port):
            return port
    raise PortTakenError(_PORTS[0], f"a server, and each up to {_PORTS[-1]},")


def accepts(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections that linger after a crash must not look like a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
