"""The cache's slots in Redis: each step is one script, and every step may be late or lost without harm."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any
from uuid import UUID, uuid4

from afterturn_client.lua import Script
from afterturn_client.redis_connection import REDIS_ERRORS, AnyRedis

from services.domain.errors import SectionsUnavailableError
from services.domain.memories import Owner
from services.domain.sections import bucket_of
from services.section_store.keys import marker_key, recent_key, slot_key, warmed_key

# A reader that takes longer to fetch a value does not cache it.
_FILLING_MS = 10_000
_MARK_MS = slice(1, 14)
_RECENT = 200
_RECENT_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot held: an entry, a writer's `mark`, or the reader's own `token` if it may fill it; else nothing.

    A mark is `old` when its writer has had time enough: it is finished or dead.
    """

    entry: bytes | None = None
    token: bytes | None = None
    mark: bytes | None = None
    mark_age_ms: int = 0


class SectionCache:
    """Raises `SectionsUnavailableError` where Redis did not answer; `seconds` is how long entries are kept.

    The client must answer bytes (no `decode_responses`).
    """

    def __init__(self, redis: AnyRedis, *, seconds: float) -> None:
        self._redis = redis
        self._ms = int(seconds * 1000)
        self._chance = Random()  # noqa: S311  spreads when entries end

    async def look(self, owner: Owner, epoch: UUID, values: Sequence[UUID]) -> list[Slot] | None:
        """Read slots; None where the epoch is over. An empty slot is the reader's to fill."""
        token = uuid4().hex
        keys = [marker_key(bucket_of(owner), epoch), *(slot_key(owner, epoch, value) for value in values)]
        answer = await self._run("look", keys, [token, _FILLING_MS])
        if answer is None:
            return None
        return [_slot(held, token.encode(), answer[0]) for held in answer[1:]]

    async def mark(self, owner: Owner, epoch: UUID, values: Sequence[UUID]) -> bytes | None:
        """Take the slots for a writer: nobody reads or fills them until `put`. None where the epoch is over."""
        keys = [marker_key(bucket_of(owner), epoch), *(slot_key(owner, epoch, value) for value in values)]
        mark: bytes | None = await self._run("mark", keys, [uuid4().hex])
        return mark

    async def put(self, owner: Owner, epoch: UUID, entries: Mapping[UUID, tuple[bytes, bytes]]) -> int:
        """Put entries where the slot still holds what is given with each: a mark, a token, another entry."""
        if not entries:
            return 0
        keys = [slot_key(owner, epoch, value) for value in entries]
        args: list[bytes | int] = [int(self._ms * self._chance.uniform(0.9, 1))]
        for expected, entry in entries.values():
            args += [expected, entry]
        return int(await self._run("put", keys, args))

    async def empty(self, key: str, held: bytes) -> bool:
        """Empty a slot, named by its key, if it still holds this."""
        return bool(await self._run("put", [key], [self._ms, held, b""]))

    async def begin(self, bucket: int, old: UUID, new: UUID) -> None:
        """End an epoch, so that nobody finds anything in it, and begin another."""
        await self._run("begin", [marker_key(bucket, old), marker_key(bucket, new)], [])

    async def is_there(self) -> bool:
        try:
            with unavailable():
                return bool(await self._redis.ping())
        except SectionsUnavailableError:
            return False

    async def note_recent(self, owner: Owner, names: Mapping[str, float]) -> None:
        """Note what was read, by the time; the latest stay."""
        key = recent_key(owner)
        with unavailable():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(key, dict(names))
                pipe.zremrangebyrank(key, 0, -_RECENT - 1)
                pipe.expire(key, _RECENT_SECONDS)
                await pipe.execute()

    async def begin_warming(self, owner: Owner, session_id: str, count: int, *, again_seconds: int) -> list[str] | None:
        """Give what of the owner's was read last; None where the session was warmed before."""
        keys = [warmed_key(owner, session_id), recent_key(owner)]
        found = await self._run("warm", keys, [again_seconds, count])
        return None if found is None else [name.decode() for name in found]

    async def _run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:  # noqa: ANN401  a script's answer
        with unavailable():
            return await script(name).run(self._redis, keys, args)


@cache
def script(name: str) -> Script:
    return Script(files(__package__).joinpath(f"{name}.lua").read_text())


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn what redis-py raises into an error of ours: a server's message may quote the command."""
    try:
        yield
    except REDIS_ERRORS as error:
        cause = "it is full" if "OOM" in str(error) else type(error).__name__
        raise SectionsUnavailableError(f"Redis: {cause}") from None


def _slot(held: bytes, token: bytes, now_ms: int) -> Slot:
    match held[:1]:
        case b"e":
            return Slot(entry=held)
        case b"T":
            return Slot(token=b"t" + token)
        case b"m":
            return Slot(mark=held, mark_age_ms=now_ms - int(held[_MARK_MS]))
        case _:
            return Slot()
