import itertools
import random
import socket
from collections.abc import Iterator

from services.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"

# Below those that the kernel gives to connections: one of them could sit on a port that was found free until its server
# listens there, or while that server is away. Room above for Redis Cluster, which adds 10,000 for its bus.
_PORTS = range(12_000, 22_000)


def _in_turn(ports: range) -> Iterator[int]:
    """Give no port twice before somebody listens on it; each process begins somewhere else."""
    first = random.SystemRandom().randrange(len(ports))
    return itertools.cycle((*ports[first:], *ports[:first]))


_next_ports = _in_turn(_PORTS)


def take_part_of_ports(number: int, parts: int) -> None:
    """Give free ports of one part of them from now on: a server that is away for a moment keeps its port from others.

    For several processes that start servers at the same time; `number` counts from 0.
    """
    global _next_ports  # noqa: PLW0603  one for the process
    _next_ports = _in_turn(_PORTS[number * len(_PORTS) // parts : (number + 1) * len(_PORTS) // parts])


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
