"""A Redis Cluster of three primaries on this machine."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from services.embedded.errors import PortTakenError
from services.embedded.ports import LOOPBACK, check_free, free_port
from services.embedded.redis_server import RedisServer

_SLOTS = 16_384
_BUS_OFFSET = 10_000


class ClusterNode(RedisServer):
    def __init__(self, folder: Path) -> None:
        port = free_port()
        while not _may_have_a_bus(port):
            port = free_port()
        super().__init__(folder, port=port)

    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes"]


def _may_have_a_bus(port: int) -> bool:
    """Each node listens on two ports, and chooses one of them alone."""
    try:
        check_free(port + _BUS_OFFSET, "Redis Cluster's bus")
    except (OverflowError, PortTakenError):
        return False
    return True


async def join(nodes: Sequence[ClusterNode]) -> None:
    """Share the slots out between the nodes and return once each of them sees the cluster as whole."""
    clients = [Redis.from_url(node.url) for node in nodes]
    for number, (node, client) in enumerate(zip(nodes, clients, strict=True)):
        await _cluster(client, "ADDSLOTS", *range(number, _SLOTS, len(nodes)))
        await _cluster(client, "SET-CONFIG-EPOCH", number + 1)
        await _cluster(clients[0], "MEET", LOOPBACK, node.port)
    deadline = time.monotonic() + 30
    while not all([await _is_whole(client, len(nodes)) for client in clients]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    for client in clients:
        await client.aclose()


async def _is_whole(client: Redis, size: int) -> bool:
    answer: bytes = await _cluster(client, "INFO")
    info = dict(line.split(":") for line in answer.decode().split())
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(size)


async def _cluster(client: Redis, *words: str | int) -> Any:
    return await client.execute_command("CLUSTER", *words)  # type: ignore[no-untyped-call]
