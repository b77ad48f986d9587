"""Append to a room's buffer and say whether this must wake the room: one script, one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass

from afterturn_client.errors import InvalidFieldError
from afterturn_client.lua import Script
from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, wake_key

BATCH_SIZE = 50
WAKE_TTL_MS = 60_000

# For each room: how many entries, then these. RPUSH is a room's first write: when Redis is full it is the one that is
# refused, and a script that has begun to write is let finish, so either all of it happens or nothing. A room that is
# refused harms no other. The mark holds the time of the last append; its own time to live runs from the first one, so
# that a signal which never arrived is sent again. `unpack` takes a few thousand values.
_RECORD = Script("""
local batch_size = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local answers = {}
local at = 3
for key = 1, #KEYS, 2 do
  local count = tonumber(ARGV[at])
  local last = at + count
  local length
  for first = at + 1, last, 1000 do
    length = redis.pcall('RPUSH', KEYS[key], unpack(ARGV, first, math.min(first + 999, last)))
    if type(length) == 'table' then break end
  end
  if type(length) == 'table' then
    answers[#answers + 1] = length
  else
    local won = redis.call('SET', KEYS[key + 1], now, 'NX', 'PX', ARGV[2])
    if not won then
      redis.call('SET', KEYS[key + 1], now, 'XX', 'KEEPTTL')
    end
    local filled = length - count < batch_size and length >= batch_size
    answers[#answers + 1] = length * 2 + ((won or filled) and 1 or 0)
  end
  at = last + 1
end
return answers
""")

Append = tuple[str, Sequence[bytes]]


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
    [answer] = await append_each(redis, [(room_id, entries)], batch_size=batch_size, wake_ttl_ms=wake_ttl_ms)
    if isinstance(answer, Exception):
        raise answer
    return answer


async def append_each(
    redis: AnyRedis, appends: Sequence[Append], *, batch_size: int = BATCH_SIZE, wake_ttl_ms: int = WAKE_TTL_MS
) -> list[Appended | Exception]:
    """Append to several rooms in one round trip, on one node; answer what Redis says to each.

    Raise what redis-py raises when Redis did not answer at all.
    """
    keys: list[str] = []
    args: list[bytes | int] = [batch_size, wake_ttl_ms]
    for room_id, entries in appends:
        if not entries:
            raise InvalidFieldError("entries", "at least one")
        keys += (buffer_key(room_id), wake_key(room_id))
        args.append(len(entries))
        args += entries
    return [_appended(answer) for answer in await _RECORD.run(redis, keys, args)]


def _appended(answer: int | Exception) -> Appended | Exception:
    return answer if isinstance(answer, Exception) else Appended(length=answer // 2, wake=answer % 2 == 1)
