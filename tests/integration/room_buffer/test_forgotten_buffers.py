"""What somebody said is taken out of buffers and claims where it stands, and nothing else moves."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, claim_key

from activities.forgotten_buffers import ForgottenBuffers
from services.domain.forgetting import TOMBSTONE, taken_at
from services.domain.memories import Owner, owner_of
from services.postgres.database import Database
from services.postgres.forgetting.forgettings import Forgetting, Forgettings
from services.room_buffer.buffer import Claim, RoomBuffer
from services.room_buffer.erasing import BufferErasing
from tests.support.forgotten_rooms import BEFORE, archive, said

ANA, ACME = owner_of("user", "ana"), owner_of("company", "acme")
ROOM = "room:shared"


def entry(user: str | None, company: str | None = None, role: str = "user") -> bytes:
    fields = {"role": role, "content": "x", "user_id": user, "company_id": company, "id": f"{user}-{company}-{role}"}
    return json.dumps({name: value for name, value in fields.items() if value}).encode()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
def buffers(redis: AnyRedis, database: Database) -> ForgottenBuffers:
    return ForgottenBuffers(BufferErasing(redis, RoomBuffer(redis)), database)


async def run_for(database: Database, owner: Owner) -> Forgetting:
    return await Forgettings(database).open("run", owner)


async def taken(redis: AnyRedis) -> Claim:
    limits = {"quiet_ms": 0, "waited_ms": 0, "max_wait_ms": 0, "batch_size": 1}
    claim = await RoomBuffer(redis).claim(ROOM, **limits, name="c")
    assert isinstance(claim, Claim)
    return claim


async def test_a_person_is_taken_out_of_buffer_and_claim_with_the_replies(
    redis: AnyRedis, database: Database, buffers: ForgottenBuffers
) -> None:
    ben, reply, late = entry("ben"), entry(None, role="assistant"), entry("ana", role="tool")
    await redis.rpush(buffer_key(ROOM), ben, entry("ana"), reply, ben, reply)
    claim = await taken(redis)
    await redis.rpush(buffer_key(ROOM), ben, late)
    await redis.rpush("user:ana:messages", b"broken", reply)
    run = await run_for(database, ANA)

    at = taken_at(claim.name)
    assert at is not None
    assert await buffers.erase(run, claimed_before=at) == 0
    assert await buffers.erase(run, claimed_before=at + timedelta(seconds=1)) == 2
    assert await buffers.erase(run) == 3
    assert await buffers.erase(run) == 0
    held = await redis.lrange(claim_key(ROOM, claim.name), 0, -1)
    assert held == [ben, TOMBSTONE, TOMBSTONE, ben, reply]
    assert await redis.lrange(buffer_key(ROOM), 0, -1) == [ben, TOMBSTONE]
    assert await redis.lrange("user:ana:messages", 0, -1) == [TOMBSTONE, TOMBSTONE]


@pytest.mark.parametrize(("last", "left"), [("ana", TOMBSTONE), ("ben", entry(None, role="assistant"))])
async def test_a_reply_goes_with_whom_it_replies_to_in_the_archive(
    redis: AnyRedis, database: Database, buffers: ForgottenBuffers, last: str, left: bytes
) -> None:
    speakers = sorted(("ana", "ben"), key=lambda one: one == last)
    await archive(database, ROOM, BEFORE, *(said(one, one) for one in speakers))
    await redis.rpush(buffer_key(ROOM), entry(None, role="assistant"), entry("ben"))
    await buffers.erase(await run_for(database, ANA))
    assert await redis.lrange(buffer_key(ROOM), 0, -1) == [left, entry("ben")]


async def test_what_is_said_in_a_claim_is_replied_to_in_the_buffer(
    redis: AnyRedis, database: Database, buffers: ForgottenBuffers
) -> None:
    await redis.rpush(buffer_key(ROOM), entry("ben"), entry("ana"))
    await taken(redis)
    await redis.rpush(buffer_key(ROOM), entry(None, role="assistant"), entry("ben"))
    assert await buffers.erase(await run_for(database, ANA)) == 2
    assert await redis.lrange(buffer_key(ROOM), 0, -1) == [TOMBSTONE, entry("ben")]


async def test_a_company_is_named_no_more_in_rooms_of_others(
    redis: AnyRedis, database: Database, buffers: ForgottenBuffers
) -> None:
    await redis.rpush("user:ben:messages", entry("ben", "acme"))
    await redis.rpush(buffer_key(ROOM), entry("ben", "acme"), entry("ben"))
    assert await buffers.erase(await run_for(database, ACME)) == 2
    [left] = await redis.lrange("user:ben:messages", 0, -1)
    assert json.loads(left) == {"role": "user", "content": "x", "user_id": "ben", "id": "ben-acme-user"}
    assert await redis.lrange(buffer_key(ROOM), 0, -1) == [TOMBSTONE, entry("ben")]
