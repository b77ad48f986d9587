"""Append to a room's buffer and say whether this must wake the room: one script, one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass

from afterturn_client.errors import InvalidFieldError
from afterturn_client.lua import Script
from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, wake_key

BATCH_SIZE = 50
WAKE_TTL_MS = 60_000

# RPUSH is the first write: when Redis is full it is the one that is refused, and a script that has begun to write is
# let finish, so either all of it happens or nothing. The mark holds the time of the last append; its own time to live
# runs from the first one, so that a signal which never arrived is sent again. `unpack` takes a few thousand values.
_RECORD = Script("""
local batch_size = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local length = 0
for first = 3, #ARGV, 1000 do
  length = redis.call('RPUSH', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
local won = redis.call('SET', KEYS[2], now, 'NX', 'PX', ARGV[2])
if not won then
  redis.call('SET', KEYS[2], now, 'XX', 'KEEPTTL')
end
local before = length - (#ARGV - 2)
local filled = before < batch_size and length >= batch_size
return {length, (won or filled) and 1 or 0}
""")


@dataclass(frozen=True, slots=True)
class Appended:
    """`length` of the buffer now, and whether whoever appended must wake the room."""

    length: int
    wake: bool


async def record_entries(
    redis: AnyRedis,
    room_id: str,
    entries: Sequence[bytes],
    *,
    batch_size: int = BATCH_SIZE,
    wake_ttl_ms: int = WAKE_TTL_MS,
) -> Appended:
    """Append entries in their order, all or none; raise what redis-py raises when that is not acknowledged."""
    if not entries:
        raise InvalidFieldError("entries", "at least one")
    keys = [buffer_key(room_id), wake_key(room_id)]
    length, wake = await _RECORD.run(redis, keys, [batch_size, wake_ttl_ms, *entries])
    return Appended(length=int(length), wake=bool(wake))
