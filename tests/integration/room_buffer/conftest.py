import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from afterturn_client.redis_connection import AnyRedis, open_redis

from services.room_buffer.buffer import RoomBuffer
from tests.integration.room_buffer.redis_cluster import ClusterNode, join
from tests.support.servers import running


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    async with open_redis(redis_url, answer_seconds=20) as client:
        yield client


@pytest.fixture
def buffer(redis: AnyRedis) -> RoomBuffer:
    return RoomBuffer(redis)


@pytest.fixture(scope="session")
def cluster_url(servers_folder: Path) -> Iterator[str]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(running(ClusterNode(servers_folder / f"node{number}"))) for number in range(3)]
        asyncio.run(join(nodes))
        yield nodes[0].url


@pytest.fixture
async def cluster(cluster_url: str) -> AsyncIterator[AnyRedis]:
    async with open_redis(cluster_url, cluster=True, answer_seconds=20) as client:
        await client.flushall()
        yield client
