"""Whatever gets lost, repeated, late or killed: each message is archived once, in order, and no key is left."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest
from afterturn_client.lua import Script
from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import wake_key

from services.room_buffer.buffer import Claim, Empty, RoomBuffer, Wait
from services.room_buffer.scripts import script
from tests.integration.room_buffer.room_model import Faults, check_rooms

NO_SWEEP = Faults(lost_wake=0, killed=0, raw_producer=False, sweep=False)
AT_ONCE = 25
FRESH_NAME = "name .. '.' .. time[1] .. '.' .. time[2]"
AnswerT = TypeVar("AnswerT")


@pytest.mark.parametrize("first", range(0, 300, AT_ONCE))
async def test_every_message_is_archived_once_and_in_order(redis: AnyRedis, buffer: RoomBuffer, first: int) -> None:
    outcomes = await check_rooms(redis, buffer, Faults(), range(first, first + AT_ONCE))
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert await redis.dbsize() == 0


@pytest.mark.parametrize("first", range(1000, 1100, AT_ONCE))
async def test_a_wake_up_that_arrives_needs_no_sweep(redis: AnyRedis, buffer: RoomBuffer, first: int) -> None:
    outcomes = await check_rooms(redis, buffer, NO_SWEEP, range(first, first + AT_ONCE))
    assert [outcome for outcome in outcomes if not outcome.good] == []


class EditedBuffer(RoomBuffer):
    """The same buffer with a fault planted in its scripts."""

    faults: tuple[tuple[str, str], ...]

    async def _run(self, names: tuple[str, ...], keys: list[str], args: Sequence[str | int]) -> Any:
        text = script(*names).text
        for right, wrong in self.faults:
            text = text.replace(right, wrong)
        return await Script(text).run(self._redis, keys, args)


class FixedNames(EditedBuffer):
    faults = ((FRESH_NAME, "'fixed'"),)


class CarelessRelease(EditedBuffer):
    faults = (("if standing == ARGV[2] then", "if standing then"),)


class MarkClearedApart(EditedBuffer):
    faults = (("redis.call('DEL', KEYS[3])", ""), ("redis.call('DEL', wake)", ""))

    async def claim(self, room_id: str, **how: Any) -> Claim | Wait | Empty:
        return await self._clear_after(room_id, await super().claim(room_id, **how))

    async def release(self, room_id: str, name: str, next_name: str) -> Claim | Empty:
        return await self._clear_after(room_id, await super().release(room_id, name, next_name))

    async def _clear_after(self, room_id: str, answer: AnswerT) -> AnswerT:
        if isinstance(answer, Empty):
            await asyncio.sleep(0.02)
            await self._redis.delete(wake_key(room_id))
        return answer


@pytest.mark.parametrize("planted", [FixedNames, CarelessRelease])
async def test_the_model_finds_a_planted_fault(redis: AnyRedis, planted: type[EditedBuffer]) -> None:
    for first in range(0, 2_000, AT_ONCE):
        outcomes = await check_rooms(redis, planted(redis), Faults(), range(first, first + AT_ONCE))
        if not all(outcome.good for outcome in outcomes):
            return
    pytest.fail("the model cannot see this fault")


async def test_the_model_finds_a_room_stranded_by_a_mark_cleared_apart(redis: AnyRedis) -> None:
    for first in range(0, 2_000, AT_ONCE):
        outcomes = await check_rooms(redis, MarkClearedApart(redis), NO_SWEEP, range(first, first + AT_ONCE))
        if any(outcome.left_in_redis for outcome in outcomes):
            return
    pytest.fail("the model cannot see this fault")
