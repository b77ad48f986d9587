"""Keys named like a buffer that belong to no room: their entries are quarantined, so that the key goes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import check_claim_name, room_of_buffer

from services.room_buffer.scanning import scan_keys
from services.room_buffer.scripts import domain_errors, script

# No entry of a producer that sends text starts so.
_MARK = b"\x00afterturn-taken:"
_BUFFERS = "*:messages"


@dataclass(frozen=True, slots=True)
class InvalidKey:
    """`kind` is what Redis' TYPE says: a `list` can be taken, anything else is only reported."""

    key: bytes
    kind: str

    @property
    def name(self) -> str:
        """The key as text that Postgres can hold. It may be personal: an e-mail address, say."""
        return self.key.decode(errors="backslashreplace").replace("\x00", "\\x00")


@dataclass(frozen=True, slots=True)
class InvalidBatch:
    """Entries that are taken together; (name, index) is theirs for ever."""

    name: str
    entries: tuple[bytes, ...]


class InvalidBuffers:
    def __init__(self, redis: AnyRedis) -> None:
        self._redis = redis

    async def scan(self) -> AsyncIterator[InvalidKey]:
        known: set[bytes] = set()
        async for key in scan_keys(self._redis, _BUFFERS, "list"):
            if key not in known and _shaped_like_a_buffer(key):
                known.add(key)
                if not _is_rooms(key):
                    yield InvalidKey(key, "list")
        async for key in scan_keys(self._redis, _BUFFERS):
            if key not in known and _shaped_like_a_buffer(key):
                known.add(key)
                kind = await self._kind_of(key)
                if kind not in {"list", "none"}:
                    yield InvalidKey(key, kind)

    async def take(self, key: bytes, *, name: str, most: int) -> InvalidBatch | None:
        check_claim_name(name)
        with domain_errors():
            taken, count, entries = await script("take_invalid").run(self._redis, [key], [_MARK, name, most])
        return InvalidBatch(taken.decode(), tuple(entries)) if count else None

    async def drop(self, key: bytes, batch: InvalidBatch) -> bool:
        with domain_errors():
            return bool(await script("drop_invalid").run(self._redis, [key], [_MARK + f"{batch.name}:".encode()]))

    async def _kind_of(self, key: bytes) -> str:
        with domain_errors():
            kind = await self._redis.type(key)
        return kind if isinstance(kind, str) else kind.decode()


def _is_rooms(key: bytes) -> bool:
    return room_of_buffer(key.decode(errors="replace")) is not None


def _shaped_like_a_buffer(key: bytes) -> bool:
    prefix, _, rest = key.partition(b":")
    return prefix in {b"user", b"room"} and rest.endswith(b":messages")
