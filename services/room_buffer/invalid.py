"""Keys named like a buffer that belong to no room: their entries are quarantined, so that the key goes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import check_claim_name, room_of_buffer

from services.room_buffer.scanning import kinds_of, pages
from services.room_buffer.scripts import domain_errors, script

# No entry of a producer that sends text starts so.
_MARK = b"\x00afterturn-taken:"


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
        async for page in pages(self._redis, "*:messages"):
            keys = [key for key in page if _shaped_like_a_buffer(key)]
            for key, kind in zip(keys, await kinds_of(self._redis, keys), strict=True):
                valid = room_of_buffer(key.decode(errors="replace")) is not None and kind == "list"
                if not valid and kind != "none":
                    yield InvalidKey(key, kind)

    async def take(self, key: bytes, *, name: str, most: int) -> InvalidBatch | None:
        check_claim_name(name)
        with domain_errors():
            taken, count, entries = await script("take_invalid").run(self._redis, [key], [_MARK, name, most])
        return InvalidBatch(taken.decode(), tuple(entries)) if count else None

    async def drop(self, key: bytes, batch: InvalidBatch) -> bool:
        with domain_errors():
            return bool(await script("drop_invalid").run(self._redis, [key], [_MARK + f"{batch.name}:".encode()]))


def _shaped_like_a_buffer(key: bytes) -> bool:
    prefix, _, rest = key.partition(b":")
    return prefix in {b"user", b"room"} and rest.endswith(b":messages")
