"""`afterturn restored` where it would do harm, twice, and what it tells."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from afterturn_client.names import MEMORY_QUEUE
from afterturn_client.rooms import buffer_key

from activities.buffers import understood
from services.domain.errors import PermanentError
from services.domain.forgetting import TOMBSTONE
from services.postgres.forgetting.forgettings import Forgettings
from services.resources import Resources, open_resources
from tests.support.command_line import CommandLine
from tests.support.listed_runs import until_listed
from tests.support.memories_kept import run_sql

ROOM = "user:raw"
OK = b'{"role": "user", "content": "ok"}'
NEW = b'{"role": "user", "content": "new"}'
COPIED_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def archive(resources: Resources, room_id: str, at: datetime, *entries: bytes) -> None:
    """Archive a claim that was taken at a time of Redis."""
    claim = f"{uuid4().hex}.{int(at.timestamp())}.0"
    await resources.archive.add(room_id, claim, list(understood(room_id, claim, 0, list(entries))), run_id="test")
    await run_sql(resources.database, "update messages set archived_at = :at where claim = :claim", at=at, claim=claim)


async def until_running(resources: Resources, *ids: str) -> None:
    for id_ in ids:
        await until_listed(resources.temporal, f"WorkflowId = '{id_}' AND ExecutionStatus = 'Running'")


async def test_what_the_archive_has_of_a_restored_buffer_is_taken_out_once(
    environment: None, redis_url: str, afterturn: CommandLine
) -> None:
    after = COPIED_AT + timedelta(seconds=5)
    async with open_resources() as resources:
        await archive(resources, ROOM, after, OK, OK)
        # It reads the same, and was taken before the copy: what waits in the copy is something else.
        await archive(resources, "user:early", COPIED_AT - timedelta(seconds=5), OK)
        await archive(resources, "user:later", after, NEW)
        for room, entries in ((ROOM, (OK, OK, NEW)), ("user:early", (OK,)), ("user:later", (OK, NEW))):
            await resources.redis.rpush(buffer_key(room), *entries)
    asked = ("restored", "--redis-copied-at", str(int(COPIED_AT.timestamp())), "--json")
    told = await afterturn(*asked)
    assert (told.code, told.document["archived_entries"]) == (0, 2), told.err
    async with open_resources() as resources:
        assert await resources.redis.lrange(buffer_key(ROOM), 0, -1) == [TOMBSTONE, TOMBSTONE, NEW]
        assert await resources.redis.lrange(buffer_key("user:early"), 0, -1) == [OK]
        assert await resources.redis.lrange(buffer_key("user:later"), 0, -1) == [OK, NEW]
        # Somebody says the same again: that is new.
        await archive(resources, ROOM, after, OK, OK, NEW, OK)
        await resources.redis.rpush(buffer_key(ROOM), OK)
    again = await afterturn(*asked)
    assert (again.code, again.document["archived_entries"]) == (0, 0), again.err


async def test_buffers_are_left_alone_where_it_is_too_late_or_cannot_be(
    environment: None, redis_url: str, afterturn: CommandLine, tmp_path: Path
) -> None:
    async with open_resources() as resources:
        await archive(resources, ROOM, COPIED_AT + timedelta(seconds=5), OK)
        await resources.redis.rpush(buffer_key(ROOM), OK)
        await resources.redis.time()
        await archive(resources, "user:now", datetime.now(UTC), NEW)
        working = await afterturn("restored", "--redis-copied-at", "2026-03-02T12:00:00Z", "--anyway")
        assert working.code == 1
        assert "cannot be told from what is new" in working.err
        assert await resources.redis.lrange(buffer_key(ROOM), 0, -1) == [OK]
        beside = await afterturn("restored")
        assert beside.code == 1
        assert "stop them first" in beside.err
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for option, value in (("--redis-copied-at", "noon"), ("--redis-copied-at", later), ("--forgotten", str(wrong))):
        refused = await afterturn("restored", option, value)
        assert (refused.code, refused.out) == (2, ""), refused
        assert option in refused.err


async def test_runs_that_go_by_a_cursor_are_ended_and_who_was_forgotten_is_begun_again(
    environment: None, redis_url: str, afterturn: CommandLine, tmp_path: Path
) -> None:
    written = tmp_path / "forgotten.json"
    one = {"run_id": "a run of before", "owner_type": "user", "owner_id": str(uuid4())}
    written.write_text(json.dumps({"forgettings": [one]}))
    async with open_resources() as resources:
        for workflow, id_, given in (
            ("ImportHistory", "import-history:1", {"source": "a.jsonl"}),
            ("ForgetOwner", "forget:company:acme", {"owner_type": "company", "owner_id": "acme"}),
        ):
            await resources.temporal.start_workflow(workflow, given, id=id_, task_queue=MEMORY_QUEUE)
        await archive(resources, ROOM, COPIED_AT, OK, NEW)
        await until_running(resources, "import-history:1", "forget:company:acme")
    told = await afterturn("restored", "--forgotten", str(written), "--numbers-ahead", "1000", "--json")
    assert told.code == 0, told.err
    assert told.document["ended"] == ["import-history:1"]
    assert told.document["forgetting"] == ["forget:company:acme", f"forget:user:{one['owner_id']}"]
    assert told.document["rooms_numbered_ahead"] == 1
    async with open_resources() as resources:
        await archive(resources, ROOM, COPIED_AT, b'{"role": "user", "content": "the next one"}')
        assert await resources.rooms.last_seq(ROOM) == 1003
        # The gap counts nowhere as messages.
        assert [room.messages for room in await resources.rooms.list_rooms()] == [3]
        await until_running(resources, "forget:company:acme", "process-rooms:restored")
    listed = await afterturn("forget", "list", "--json")
    assert (listed.code, listed.document) == (0, {"forgettings": []})


async def test_a_forgetting_that_postgres_does_not_know_ends_and_says_so(resources: Resources) -> None:
    forgettings = Forgettings(resources.database)
    for step in (forgettings.get, forgettings.finish):
        with pytest.raises(PermanentError, match="start it again"):
            await step("a run that was lost")
