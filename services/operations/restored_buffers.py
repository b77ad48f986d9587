"""Compares buffers that come from a copy of Redis with the archive, which has gone on since that copy was made."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key
from redis.asyncio.cluster import RedisCluster

from activities.buffers import understood
from activities.forgotten_buffers import ForgottenBuffers
from services.domain.errors import InvalidInputError, PermanentError
from services.domain.forgetting import TOMBSTONE, ids_of, taken_at
from services.domain.memories import Owner
from services.postgres.archive.known_entries import KnownEntries
from services.postgres.forgetting.forgettings import Forgetting
from services.postgres.upkeep.restored import RestoredDatabase
from services.room_buffer.buffer import RoomBuffer
from services.room_buffer.erasing import BufferErasing
from services.room_buffer.scripts import domain_errors

_PAGE = 500


class RestoredBuffers:
    """Entries without ids get theirs from the claim that takes them, and a restored buffer would be claimed anew.

    So what the archive has of it under the claim that took it then is taken out; an empty mark stands in its place.
    Nothing may be at work meanwhile.
    """

    def __init__(
        self,
        redis: AnyRedis,
        buffer: RoomBuffer,
        known: KnownEntries,
        forgotten: ForgottenBuffers,
        database: RestoredDatabase,
    ) -> None:
        self._redis = redis
        self._buffer = buffer
        self._erasing = BufferErasing(redis, buffer)
        self._known = known
        self._forgotten = forgotten
        self._database = database

    async def check(self, copied_at: datetime) -> datetime:
        """Give when this Redis was started; raise where its buffers can no longer be told from new ones."""
        started_at = await self._started_at()
        if copied_at >= started_at:
            raise InvalidInputError("--redis-copied-at", f"a time before Redis was started ({started_at:%FT%TZ})")
        if await self._database.has_archived_since(started_at):
            raise PermanentError(
                "messages were archived after Redis was started: what waits there cannot be told from what is new; "
                "leave --redis-copied-at out, or restore once more and run this before a worker"
            )
        return started_at

    async def take_out_archived(self, copied_at: datetime, started_at: datetime) -> int:
        """Take out of the buffers what the archive has; count the entries."""
        return sum([await self._compare(room, copied_at, started_at) async for room in self._erasing.rooms()])

    async def take_out_forgotten(self, copied_at: datetime) -> int:
        """Take out what was said by those who were forgotten after the copy; count the entries."""
        erased = 0
        for owner in await self._database.forgotten_since(copied_at):
            erased += await self._forgotten.erase(_whose(owner))
        return erased

    async def _compare(self, room_id: str, copied_at: datetime, started_at: datetime) -> int:
        key = buffer_key(room_id)
        entries = await self._erasing.entries(key)
        # Where a mark stands at its head, an earlier run was here.
        if not entries or entries[0] == TOMBSTONE:
            return 0
        standing = (await self._buffer.peek(room_id)).claim
        after = max([copied_at, *([at] if standing and (at := taken_at(standing)) else [])])
        claims = await self._known.claims(room_id, after=after, before=started_at)
        length = max([await self._known_length(room_id, claim, entries) for claim in claims], default=0)
        return await self._erasing.replace(key, entries, dict.fromkeys(range(length), TOMBSTONE))

    async def _known_length(self, room_id: str, claim: str, entries: Sequence[bytes]) -> int:
        """Count the entries from the first on that the archive has as this claim's."""
        for first in range(0, len(entries), _PAGE):
            page = list(understood(room_id, claim, first, list(entries[first : first + _PAGE])))
            known = await self._known.are_known(room_id, claim, page)
            if not all(known):
                return first + known.index(False)
        return len(entries)

    async def _started_at(self) -> datetime:
        """Give the time of Redis at which it was started; of a cluster's primaries, the latest."""
        now = await self._erasing.now()
        with domain_errors():
            if isinstance(self._redis, RedisCluster):
                told = await self._redis.info("server", target_nodes=RedisCluster.PRIMARIES)
                nodes = list(told.values()) if "uptime_in_seconds" not in told else [told]
            else:
                nodes = [await self._redis.info("server")]
        return now - timedelta(seconds=min(int(node["uptime_in_seconds"]) for node in nodes))


def _whose(owner: Owner) -> Forgetting:
    return Forgetting(
        run_id="",
        owner=owner,
        ids=ids_of(owner, owner.external_id),
        entities=(),
        email=None,
        epoch=None,
        forgotten_at=None,
        claimed_before=None,
    )
