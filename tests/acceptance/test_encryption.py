"""With keys, Temporal keeps nothing that names a room but the workflows' ids; and nothing stops for it."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import room_digest_id, room_memory_id
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import History
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from services import temporal
from services.domain.credentials import Scope, make_key
from services.domain.errors import InvalidInputError
from services.embedded.temporal_cli import find_temporal_cli
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources, open_resources
from services.worker.run import running_workers
from tests.support.command_line import CommandLine
from tests.support.listed_runs import listed_runs
from tests.support.main_job import RECORD_SECONDS
from tests.support.memory_api import running_api
from tests.support.openai_server import OpenAIServer, Status
from tests.support.rooms import until_digested

ROOM, UI = "user:ana", "http://ui.example.org:8233"
OLD, NEW = (f"{name}:{b64encode(name[0].encode() * 32).decode()}" for name in ("old", "new"))
KEYS = "AFTERTURN_PAYLOAD_KEYS"
# As the command line shows a payload that it can read.
ENCODED = b64encode(b'{"room_id":"user:ana"}').decode()


@pytest.fixture
def encrypted(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS, NEW)


@asynccontextmanager
async def watched() -> AsyncIterator[Client]:
    """A client of somebody who has no key."""
    yield await Client.connect(os.environ["TEMPORAL_ADDRESS"], namespace=os.environ["TEMPORAL_NAMESPACE"])


async def histories(client: Client, *ids: str) -> list[History]:
    """Give those of all runs, among them these."""
    runs = await listed_runs(client, *ids)
    fetched = [await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history() for run in runs]
    return [History(events=one.events) for one in fetched]


def parts(message: Message) -> Iterator[Message]:
    """Give all messages inside of one; Temporal itself has to read search attributes."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [value[key] for key in value if isinstance(value[key], Message)]
        else:
            values = value if field.is_repeated else [value]
        for one in values:
            if not isinstance(one, SearchAttributes):
                yield from parts(one)


async def key_of(resources: Resources, scope: Scope, user_id: str | None = None) -> str:
    key = make_key()
    await ApiKeys(resources.database).add(key, name="test", scopes=(scope,), binding=Binding(user_id), expires_at=None)
    return key.key


@pytest.mark.usefixtures("encrypted", "by_hand_alone")
async def test_without_a_key_nobody_reads_which_room_a_run_is_of(model: OpenAIServer) -> None:
    async with open_resources() as resources, running_workers(), MemoryClient.connect(seconds=RECORD_SECONDS) as memory:
        await memory.record_turn(ROOM, user="I moved to Lima.", assistant="Noted.")
        await until_digested(resources, ROOM, 2)
        wrong = await resources.temporal.start_workflow("RoomMemory", {"room": ROOM}, id="wrong", task_queue="memory")
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for(wrong.result(), 60)
        assert "room_id" in str(failure.value.cause)
        async with watched() as client:
            found = await histories(client, "wrong", room_memory_id(ROOM), room_digest_id(ROOM))
            kept = [part for history in found for part in parts(history)]
        payloads = [part for part in kept if isinstance(part, Payload)]
        sealed = [payload for payload in payloads if payload.metadata["encoding"] == b"binary/encrypted"]
        assert len(sealed) > 10
        # Of a local step the SDK notes for itself which one it was, and when.
        assert all(payload in sealed or b'"activity_type":"claim"' in payload.data for payload in payloads)
        # In thousands of random bytes there may be three letters.
        assert not any(ROOM.encode() in payload.SerializeToString() for payload in payloads)
        assert {part.message for part in kept if isinstance(part, Failure)} == {"Encoded failure"}
        await the_command_line_shows_it(resources)


async def the_command_line_shows_it(resources: Resources) -> None:
    operator = await key_of(resources, "admin")
    async with running_api(temporal_ui_url=UI) as url:
        assert ENCODED not in await shown()
        told = await shown("--codec-endpoint", f"{url}/v1/codec", "--codec-auth", f"Bearer {operator}")
        assert ENCODED in told
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            await others_are_refused(http, resources)
            await only_pages_of_the_ui_may_ask(http, operator)
            await a_payload_of_another_key_is_said_to_be_one(http, operator)


async def shown(*options: str) -> str:
    program = await find_temporal_cli()
    at = ("--address", os.environ["TEMPORAL_ADDRESS"], "--namespace", os.environ["TEMPORAL_NAMESPACE"])
    process = await asyncio.create_subprocess_exec(
        program, "workflow", "show", "--workflow-id", room_memory_id(ROOM), "--output", "json", *at, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def others_are_refused(http: httpx.AsyncClient, resources: Resources) -> None:
    reader, ana = await key_of(resources, "read"), await key_of(resources, "admin", "ana")
    for key, status in ((None, 401), ("at_made_up", 401), (reader, 403), (ana, 404)):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        for step in ("decode", "encode"):
            answer = await http.post(f"/v1/codec/{step}", json={"payloads": []}, headers=headers)
            assert answer.status_code == status, answer.text


async def only_pages_of_the_ui_may_ask(http: httpx.AsyncClient, operator: str) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-namespace"}
    for origin, path, allowed in (
        (UI, "/v1/codec/decode", UI),
        ("http://evil.example.org", "/v1/codec/decode", None),
        (UI, "/v1/keys", None),
    ):
        before = await http.options(path, headers={"Origin": origin, **asks})
        assert before.headers.get("Access-Control-Allow-Origin") == allowed
        headers = {"Origin": origin, "Authorization": f"Bearer {operator}"}
        answer = await http.post(path, json={"payloads": []}, headers=headers)
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed


async def a_payload_of_another_key_is_said_to_be_one(http: httpx.AsyncClient, operator: str) -> None:
    metadata = {"encoding": b64encode(b"binary/encrypted").decode(), "encryption-key-id": b64encode(b"lost").decode()}
    given = {"payloads": [{"metadata": metadata, "data": b64encode(b"sealed").decode()}]}
    answer = await http.post("/v1/codec/decode", json=given, headers={"Authorization": f"Bearer {operator}"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.payloads")


async def test_keys_are_begun_and_rotated_under_runs_that_go_on(
    environment: None, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two digests wait for their model: one since before the first key, one since before the second."""
    monkeypatch.setenv("SHUTDOWN_SECONDS", "0.5")
    model.fault = Status(503, retry_after="1")
    async with open_resources() as resources:
        for room, keys in (("user:ana", ""), ("user:ben", OLD)):
            monkeypatch.setenv(KEYS, keys)
            async with running_workers(), MemoryClient.connect(seconds=RECORD_SECONDS) as memory:
                await memory.record_turn(room, user="I moved to Lima.", assistant="Noted.")
                await until_it_waits(resources, room)
        async with watched() as client:
            # What a client without keys sends is read all the same.
            await client.get_workflow_handle(room_digest_id("user:ana")).signal("messages_archived")
        model.fault = None
        monkeypatch.setenv(KEYS, f"{NEW},{OLD}")
        async with running_workers():
            for room in ("user:ana", "user:ben"):
                await until_digested(resources, room, 2)
    assert await keys_of("user:ana") == [None, b"new"]
    assert await keys_of("user:ben") == [b"old", b"new"]


async def until_it_waits(resources: Resources, room: str) -> None:
    handle = resources.temporal.get_workflow_handle(room_digest_id(room))
    async with asyncio.timeout(60):
        while True:
            with suppress(RPCError):  # not started yet
                if (await handle.describe()).raw_description.pending_activities:
                    return
            await asyncio.sleep(0.05)


async def keys_of(room: str) -> list[bytes | None]:
    """Give the names of the keys that a room's digest began with, and that it ended with."""
    async with watched() as client:
        history = await client.get_workflow_handle(room_digest_id(room)).fetch_history()
    payloads = [part for event in history.events for part in parts(event) if isinstance(part, Payload)]
    return [payloads[place].metadata.get("encryption-key-id") for place in (0, -1)]


async def test_a_wrong_key_ends_commands_and_worker_at_their_start(
    environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = await CommandLine(tmp_path)("schedules", "apply", AFTERTURN_PAYLOAD_KEYS="new:short")
    assert refused.code == 2
    assert "AFTERTURN_PAYLOAD_KEYS: " in refused.err
    monkeypatch.setenv(KEYS, "new:short")
    with pytest.raises(InvalidInputError, match=r"^AFTERTURN_PAYLOAD_KEYS: "):
        await temporal.connect()
