"""What the settings say of a Redis Cluster holds for whatever records."""

from pathlib import Path

import pytest
from afterturn_client.redis_connection import AnyRedis

from services.room_buffer.buffer import RoomBuffer
from services.room_buffer.recorder import open_recorder
from tests.support.command_line import CommandLine

ROOMS = [f"user:{number}" for number in range(12)]


@pytest.fixture
def _cluster_is_set(cluster: AnyRedis, cluster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "REDIS_URL": cluster_url,
        "REDIS_CLUSTER": "true",
        "RECORD_SECONDS": "20",
        "TEMPORAL_ADDRESS": "localhost:1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_cluster_is_set")
async def test_a_command_records_in_rooms_of_every_node(cluster: AnyRedis, tmp_path: Path) -> None:
    afterturn = CommandLine(tmp_path)
    for room in ROOMS[:4]:
        done = await afterturn("record", room, stdin="hello\n")
        assert done.code == 0, done.err
    assert [(await RoomBuffer(cluster).peek(room)).length for room in ROOMS[:4]] == [1] * 4


@pytest.mark.usefixtures("_cluster_is_set")
async def test_so_does_the_recorder_of_the_api_and_the_demo(cluster: AnyRedis) -> None:
    async with open_recorder() as memory:
        for room in ROOMS:
            await memory.record_turn(room, user="hello", assistant="")
    assert [(await RoomBuffer(cluster).peek(room)).length for room in ROOMS] == [2] * len(ROOMS)
