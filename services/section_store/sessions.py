"""What a session keeps in Redis until it ends, or is left alone for long."""

from datetime import UTC, datetime, timedelta
from typing import Any

from afterturn_client.redis_connection import AnyRedis
from pydantic import JsonValue

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner
from services.domain.sections import Name, check_session
from services.section_store.cache import script, unavailable
from services.section_store.keys import session_key, sessions_key
from services.section_store.packing import Packing, packed_session_value, read_entry, unpack
from services.section_store.results import Value

MOST_VALUES = 1_000
MOST_SESSIONS = 1_000
# What all sessions of an owner share stands under no session's id.
_SHARED = ""


class Sessions:
    """Without `session_id` it is what all sessions of the owner share; a session sees its own before that.

    Raises `SectionsUnavailableError` where Redis does not answer. `idle_seconds` is how long a session that nobody
    uses is kept.
    """

    def __init__(self, redis: AnyRedis, packing: Packing, *, idle_seconds: float) -> None:
        self._redis = redis
        self._packing = packing
        self._ms = int(idle_seconds * 1000)

    async def set(self, owner: Owner, session_id: str | None, name: Name, value: JsonValue) -> Value:
        keys = [session_key(owner, _checked(session_id)), sessions_key(owner)]
        entry = packed_session_value(self._packing.pack(value))
        args: list[str | bytes | int] = [session_id or _SHARED, self._ms, MOST_VALUES, MOST_SESSIONS]
        with unavailable():
            done = await script("set_session").run(self._redis, keys, [*args, _field(name), entry])
        if done == b"values":
            raise InvalidInputError("key", f"{MOST_VALUES} values a session at most")
        if done == b"sessions":
            raise InvalidInputError("session_id", f"{MOST_SESSIONS} sessions at a time at most")
        return _value(name, entry, self._ms)

    async def get(self, owner: Owner, session_id: str | None, name: Name) -> Value | None:
        keys = [sessions_key(owner)]
        keys += [session_key(owner, _checked(session_id))] if session_id is not None else []
        keys += [session_key(owner, None)]
        args: list[str | bytes | int] = [self._ms, session_id or _SHARED, _field(name)]
        with unavailable():
            (found,) = await script("get_session").run(self._redis, keys, args)
        return _value(name, found, self._ms) if found is not None else None

    async def delete(self, owner: Owner, session_id: str | None, name: Name) -> bool:
        with unavailable():
            return bool(await self._redis.hdel(session_key(owner, _checked(session_id)), _field(name)))

    async def all_of(self, owner: Owner, session_id: str | None) -> dict[Name, Value]:
        with unavailable():
            found: Any = await self._redis.hgetall(session_key(owner, _checked(session_id)))
        names = {_name(field.decode()): entry for field, entry in found.items()}
        return {name: _value(name, entry, self._ms) for name, entry in names.items()}

    async def ids(self, owner: Owner) -> list[str | None]:
        """List the sessions that have something, the shared values as None."""
        now = datetime.now(UTC).timestamp() * 1000
        with unavailable():
            found: Any = await self._redis.zrangebyscore(sessions_key(owner), now, "+inf")
        return [one.decode() or None for one in found]

    async def end(self, owner: Owner, session_id: str) -> int:
        """Forget a session; answer how many values it had. What sessions share stays."""
        key = session_key(owner, _checked(session_id))
        with unavailable():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hlen(key)
                pipe.unlink(key)
                pipe.zrem(sessions_key(owner), session_id)
                had, *_ = await pipe.execute()
        return int(had)


def _checked(session_id: str | None) -> str | None:
    return None if session_id is None else check_session(session_id)


def _field(name: Name) -> str:
    return f"{name.namespace}\n{name.key}"


def _name(field: str) -> Name:
    namespace, _, key = field.partition("\n")
    return Name("session_state", key, namespace)


def _value(name: Name, entry: bytes, ms: int) -> Value:
    return value_of_entry(name, entry, datetime.now(UTC) + timedelta(milliseconds=ms))


def value_of_entry(name: Name, entry: bytes, expires_at: datetime | None) -> Value:
    record = read_entry(entry).record
    assert record is not None  # noqa: S101  only what stands is written so
    return Value(
        section=name.section,
        namespace=name.namespace,
        key=name.key,
        value=unpack(record.packed),
        version=record.version,
        updated_at=record.updated_at,
        raw_size=record.packed.raw_size,
        stored_size=len(record.packed.data),
        expires_at=expires_at,
    )
