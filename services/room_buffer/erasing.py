"""Takes what somebody said out of buffers and claims: an empty mark stands in its place."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha1

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, claim_key
from redis.asyncio.cluster import RedisCluster

from services.domain.forgetting import taken_at
from services.room_buffer.buffer import PAGE_BYTES, RoomBuffer
from services.room_buffer.scripts import domain_errors, script

_PAGE = 500
_AT_ONCE = 200


class BufferErasing:
    def __init__(self, redis: AnyRedis, buffer: RoomBuffer) -> None:
        self._redis = redis
        self._buffer = buffer

    def rooms(self) -> AsyncIterator[str]:
        """Find each room that has something in Redis, once."""
        return self._buffer.scan()

    async def invalid_keys(self) -> AsyncIterator[tuple[bytes, str]]:
        """Find the lists whose keys name no room, with those as text."""
        async for key in self._buffer.scan_invalid():
            if key.kind == "list":
                yield key.key, key.name

    async def lists_of(self, room_id: str, *, claimed_before: datetime | None = None) -> list[str]:
        """Give the keys of a room's claim and buffer; with `claimed_before` of a claim from before then only."""
        peeked = await self._buffer.peek(room_id)
        keys = [] if claimed_before else [buffer_key(room_id)]
        if peeked.claim:
            taken = taken_at(peeked.claim)
            if claimed_before is None or (taken is not None and taken < claimed_before):
                keys = [claim_key(room_id, peeked.claim), *keys]
        return keys

    async def entries(self, key: str | bytes) -> list[bytes]:
        """Read a list whole, in pages."""
        entries: list[bytes] = []
        while True:
            args: list[str | int] = [len(entries), _PAGE, PAGE_BYTES]
            with domain_errors():
                page = await script("read").run(self._redis, [key], args)
            if not page:
                return entries
            entries += page

    async def replace(self, key: str | bytes, entries: Sequence[bytes], chosen: Mapping[int, bytes]) -> int:
        """Replace entries by their positions; one that stands elsewhere by now is left, and not counted."""
        places, replaced = sorted(chosen), 0
        for first in range(0, len(places), _AT_ONCE):
            replaced += await self._replace(key, entries, chosen, places[first : first + _AT_ONCE])
        return replaced

    async def now(self) -> datetime:
        """Give Redis' time: of a cluster's, the latest."""
        with domain_errors():
            if isinstance(self._redis, RedisCluster):
                told = await self._redis.time(target_nodes=RedisCluster.PRIMARIES)
            else:
                told = await self._redis.time()
        times = list(told.values()) if isinstance(told, dict) else [told]
        seconds, micros = max(tuple(one) for one in times)
        return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(micros))

    async def _replace(
        self, key: str | bytes, entries: Sequence[bytes], chosen: Mapping[int, bytes], places: Sequence[int]
    ) -> int:
        args: list[str | bytes | int] = []
        for place in places:
            args += [place, sha1(entries[place], usedforsecurity=False).hexdigest(), chosen[place]]
        with domain_errors():
            return int(await script("erase").run(self._redis, [key], args))
