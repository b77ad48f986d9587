"""The client of code without an event loop: threads, prefork servers, scripts that just end."""

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from afterturn_client.errors import (
    ClientClosedError,
    InvalidFieldError,
    NoApiError,
    RecordingFailedError,
    UnsentMessagesError,
)
from afterturn_client.messages import Message
from afterturn_client.sync_client import SyncMemoryClient
from redis import Redis
from temporalio.client import Client

from services.embedded.ports import free_port
from tests.support.forking_recorder import CHILDREN, THREADS, TURNS
from tests.support.main_job import RECORD_SECONDS

NOWHERE = "127.0.0.1:1"


def length(redis_url: str, room_id: str) -> int:
    with Redis.from_url(redis_url) as redis:
        return int(redis.llen(f"{room_id}:messages"))


def test_a_turn_and_messages_are_recorded(redis_url: str) -> None:
    with SyncMemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as memory:
        receipt = memory.record_turn("user:42", user="I moved to Lima", assistant="Noted!", turn_id="t1")
        assert (receipt.room_id, receipt.message_ids, receipt.state) == (
            "user:42",
            ("t1:user", "t1:assistant"),
            "buffered",
        )
        memory.record("user:42", [Message(role="user", content="And I like it.")])
    assert length(redis_url, "user:42") == 3


def test_errors_are_those_of_the_client() -> None:
    with SyncMemoryClient.connect(f"redis://127.0.0.1:{free_port()}/0", NOWHERE) as memory:
        with pytest.raises(RecordingFailedError) as caught:
            memory.record_turn("user:42", user="a", turn_id="t1")
        assert [message.id for message in caught.value.messages] == ["t1:user"]
        with pytest.raises(InvalidFieldError, match="room_id"):
            memory.record_turn("42", user="a")
        with pytest.raises(NoApiError):
            memory.context("user:42")
        with pytest.raises(NoApiError):
            memory.search("a")
        with pytest.raises(NoApiError):
            memory.memories(user_id="42")


def test_forty_threads_share_a_client_and_each_keeps_its_order(redis_url: str) -> None:
    with SyncMemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as memory:

        def speak(thread: int) -> None:
            for number in range(25):
                memory.record_turn("room:all", user="says", user_id="1", turn_id=f"{thread}-{number}")

        with ThreadPoolExecutor(40) as threads:
            list(threads.map(speak, range(40)))
    with Redis.from_url(redis_url) as redis:
        entries = redis.lrange("room:all:messages", 0, -1)
    ids = [Message.model_validate_json(entry).id or "" for entry in entries]
    for thread in range(40):
        assert [one for one in ids if one.startswith(f"{thread}-")] == [f"{thread}-{n}:user" for n in range(25)]


async def test_processes_forked_before_and_after_its_first_use_record_and_wake(
    redis_url: str, temporal_address: str, temporal_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", temporal_namespace)
    command = [sys.executable, "-W", "error", "-m", "tests.support.forking_recorder", redis_url, temporal_address]
    ended = await asyncio.to_thread(subprocess.run, command, timeout=120, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == [str(number) for number in range(CHILDREN)]
    temporal = await Client.connect(temporal_address, namespace=temporal_namespace)
    for name in ("parent", "parent-again", *(f"child{number}" for number in range(CHILDREN))):
        assert length(redis_url, f"user:{name}") == THREADS * TURNS
        await temporal.get_workflow_handle(f"room-memory:user:{name}").describe()


def test_a_process_forked_while_a_thread_opens_the_client_is_not_locked_out() -> None:
    command = [sys.executable, "-m", "tests.support.fork_while_opening"]
    ended = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("7\n", "")


def test_a_closed_client_says_so(redis_url: str) -> None:
    memory = SyncMemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0)
    memory.record_turn("user:42", user="a")
    memory.close()
    memory.close()
    with pytest.raises(ClientClosedError):
        memory.record_turn("user:42", user="b")


def test_a_client_that_is_never_used_opens_nothing() -> None:
    before = set(threading.enumerate())
    with SyncMemoryClient.connect("redis://nowhere:1/0", NOWHERE) as memory:
        assert memory.queued == 0
        assert set(threading.enumerate()) <= before


def test_what_waits_in_a_client_is_seen_and_handed_back() -> None:
    memory = SyncMemoryClient.connect(
        f"redis://127.0.0.1:{free_port()}/0", NOWHERE, queue_in_outage=10, close_grace_seconds=0
    )
    receipt = memory.record_turn("user:42", user="a", assistant="b", turn_id="t1")
    assert receipt.state == "queued"
    assert memory.queued == 2
    with pytest.raises(UnsentMessagesError) as caught:
        memory.close()
    assert [message.id for message in caught.value.messages["user:42"]] == ["t1:user", "t1:assistant"]


def test_a_wrong_address_is_said_with_the_first_call() -> None:
    memory = SyncMemoryClient.connect("nonsense://", NOWHERE)
    with pytest.raises(ValueError, match="Redis URL"):
        memory.record_turn("user:42", user="a")


def test_clients_that_are_dropped_leave_no_thread_behind(redis_url: str) -> None:
    # That of a client that could not be opened may be about to end.
    before = set(threading.enumerate())
    for number in range(10):
        memory = SyncMemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0)
        memory.record_turn("user:42", user=str(number))
        del memory
        gc.collect()
    assert set(threading.enumerate()) <= before


async def test_it_may_be_used_from_a_thread_of_a_program_with_a_loop(redis_url: str) -> None:
    with SyncMemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as memory:
        await asyncio.gather(*(asyncio.to_thread(memory.record_turn, "user:42", user=str(n)) for n in range(20)))
    assert length(redis_url, "user:42") == 20
