"""Take rooms' messages out of Redis, each exactly once, whoever dies when."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, check_claim_name, claim_key, claim_prefix, pointer_key, wake_key

from services.room_buffer.invalid import InvalidBatch, InvalidBuffers, InvalidKey
from services.room_buffer.scanning import scan_rooms
from services.room_buffer.scripts import domain_errors, script

PAGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Claim:
    """These `count` messages are taken; `name` was never used before in this room and never will be again."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The room still talks: ask again after `ms`."""

    ms: int


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing is buffered or claimed, and the next append wakes the room."""


@dataclass(frozen=True, slots=True)
class Peek:
    """How many messages wait in the buffer, and in the claim that stands, if one does."""

    length: int
    claim: str | None
    claimed: int


class RoomBuffer:
    """Each call is one script on keys of one cluster slot. The client must answer bytes (no `decode_responses`).

    Every call may be repeated, and may arrive late: a claim that stands is answered again, and releasing a claim that
    is gone touches nothing else. Open the client with `open_redis`.
    """

    def __init__(self, redis: AnyRedis) -> None:
        self._redis = redis
        self._invalid = InvalidBuffers(redis)

    async def claim(
        self, room_id: str, *, quiet_ms: int, waited_ms: int, max_wait_ms: int, batch_size: int, name: str
    ) -> Claim | Wait | Empty:
        """Answer the claim that stands, or take the buffer when it is quiet, full or has waited long enough.

        `name` is made longer so that it is new; use the name that the answer carries. A buffer whose producer does not
        use our client has no time of its last append and counts as quiet.
        """
        check_claim_name(name)
        times = (quiet_ms, waited_ms, max_wait_ms)
        args: list[str | int] = [claim_prefix(room_id), name, *times, batch_size]
        answer = await self._run(("take", "claim"), _room_keys(room_id), args)
        return Wait(answer[1]) if answer[0] == b"wait" else _taken(answer)

    async def read(self, room_id: str, name: str, start: int, count: int) -> list[bytes]:
        """Return a page of a claim, shorter where its entries are large; none where it was released."""
        args: list[str | int] = [start, count, PAGE_BYTES]
        entries: list[bytes] = await self._run(("read",), [claim_key(room_id, name)], args)
        return entries

    async def pages(self, room_id: str, name: str, count: int) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Give a claim page by page, each with the position where it starts."""
        start = 0
        while entries := await self.read(room_id, name, start, count):
            yield start, entries
            # A page that is shorter without being large is the last: nothing is added to a claim.
            if len(entries) < count and sum(map(len, entries)) < PAGE_BYTES:
                return
            start += len(entries)

    async def release(self, room_id: str, name: str, next_name: str) -> Claim | Empty:
        """Delete a claim whose messages Postgres has committed, and answer the next one, taken at once."""
        check_claim_name(next_name)
        keys = [*_room_keys(room_id), claim_key(room_id, name)]
        return _taken(await self._run(("take", "release"), keys, [claim_prefix(room_id), name, next_name]))

    async def peek(self, room_id: str) -> Peek:
        length, claimed, name = await self._run(("peek",), _room_keys(room_id)[:2], [claim_prefix(room_id)])
        return Peek(length=length, claim=name.decode() if name else None, claimed=claimed)

    async def buffered(self, room_id: str, *, most: int = 1_000) -> list[bytes]:
        """Return the newest entries that are not archived yet (claim, then buffer), oldest first."""
        entries: list[bytes] = await self._run(
            ("buffered",), _room_keys(room_id)[:2], [claim_prefix(room_id), max(most, 1)]
        )
        return entries

    def scan(self) -> AsyncIterator[str]:
        """Find each room that has a buffer, a claim or a pointer, once."""
        return scan_rooms(self._redis)

    def scan_invalid(self) -> AsyncIterator[InvalidKey]:
        """Find keys named like a buffer that are none: the id is not valid, or they hold no list."""
        return self._invalid.scan()

    async def take_invalid(self, key: bytes, *, name: str, most: int = 100) -> InvalidBatch | None:
        """Take the first entries of such a list, or those already taken; None where none is left."""
        return await self._invalid.take(key, name=name, most=most)

    async def drop_invalid(self, key: bytes, batch: InvalidBatch) -> bool:
        """Delete a batch that is kept elsewhere now; False, and nothing deleted, where it is not the one taken."""
        return await self._invalid.drop(key, batch)

    async def _run(self, names: tuple[str, ...], keys: list[str], args: Sequence[str | int]) -> Any:  # noqa: ANN401  a script's answer
        with domain_errors():
            return await script(*names).run(self._redis, keys, args)


def _room_keys(room_id: str) -> list[str]:
    return [buffer_key(room_id), pointer_key(room_id), wake_key(room_id)]


def _taken(answer: list[Any]) -> Claim | Empty:
    return Claim(answer[1].decode(), answer[2]) if answer[0] == b"claim" else Empty()
