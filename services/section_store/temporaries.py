"""What Redis keeps for so many seconds."""

from datetime import UTC, datetime, timedelta
from typing import Any

from afterturn_client.redis_connection import AnyRedis
from pydantic import JsonValue

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner
from services.domain.sections import Name, value_id
from services.section_store.cache import script, unavailable
from services.section_store.keys import temporaries_key, temporary_key
from services.section_store.packing import Packing, packed_session_value
from services.section_store.results import Value
from services.section_store.sessions import value_of_entry

MOST_VALUES = 10_000
LEAST_SECONDS = 0.001
MOST_SECONDS = 30 * 86_400


class Temporaries:
    """Raises `SectionsUnavailableError` where Redis does not answer."""

    def __init__(self, redis: AnyRedis, packing: Packing) -> None:
        self._redis = redis
        self._packing = packing

    async def set(self, owner: Owner, name: Name, value: JsonValue, *, ttl_seconds: float) -> Value:
        if not LEAST_SECONDS <= ttl_seconds <= MOST_SECONDS:
            raise InvalidInputError("ttl_seconds", f"{LEAST_SECONDS} to {MOST_SECONDS}")
        entry = packed_session_value(self._packing.pack(value))
        keys = [temporary_key(owner, value_id(owner, name)), temporaries_key(owner)]
        args: list[str | bytes | int] = [int(ttl_seconds * 1000), MOST_VALUES, _member(name), entry]
        with unavailable():
            done = await script("set_temporary").run(self._redis, keys, args)
        if done != b"set":
            raise InvalidInputError("key", f"{MOST_VALUES} temporary values at a time at most")
        return value_of_entry(name, entry, datetime.now(UTC) + timedelta(seconds=ttl_seconds))

    async def get(self, owner: Owner, name: Name) -> Value | None:
        key = temporary_key(owner, value_id(owner, name))
        with unavailable():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                entry, left = await pipe.execute()
        if entry is None:
            return None
        return value_of_entry(name, entry, datetime.now(UTC) + timedelta(milliseconds=max(left, 0)))

    async def delete(self, owner: Owner, name: Name) -> bool:
        with unavailable():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.unlink(temporary_key(owner, value_id(owner, name)))
                pipe.zrem(temporaries_key(owner), _member(name))
                gone, _ = await pipe.execute()
        return bool(gone)

    async def names(self, owner: Owner) -> list[Name]:
        """List what has not ended yet."""
        now = datetime.now(UTC).timestamp() * 1000
        with unavailable():
            found: Any = await self._redis.zrangebyscore(temporaries_key(owner), now, "+inf")
        return [_name(one.decode()) for one in found]


def _member(name: Name) -> str:
    return f"{name.namespace}\n{name.key}"


def _name(member: str) -> Name:
    namespace, _, key = member.partition("\n")
    return Name("temporary", key, namespace)
