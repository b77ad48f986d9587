"""Values as bytes: JSON, compressed above a size, and as an entry of the cache with its version."""

import json
import struct
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from services.domain.errors import InvalidInputError
from services.postgres.sections.values import Packed, Record

# Kind, flags, version, microseconds since 1970, size before compression.
_HEADER = struct.Struct(">cBqqI")
_IS_ABSENT, _IS_COMPRESSED, _IS_PREFETCHED = 1, 2, 4
_START = datetime(1970, 1, 1, tzinfo=UTC)
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Packing:
    """`most_bytes` is what a value may have as JSON, `compress_above` from which size on it is compressed."""

    most_bytes: int
    compress_above: int

    def pack(self, value: JsonValue) -> Packed:
        """Raise `InvalidInputError` for what is no JSON, or too much of it."""
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            raw = text.encode()
        except (TypeError, ValueError, RecursionError):
            raise InvalidInputError("value", "what JSON can say") from None
        if len(raw) > self.most_bytes:
            raise InvalidInputError("value", f"{self.most_bytes} bytes of JSON at most")
        packed = Packed(raw, is_compressed=False, raw_size=len(raw))
        return self.compressed(packed) or packed

    def compressed(self, packed: Packed) -> Packed | None:
        """Compress what is not; None where it is already, or is small, or would get no smaller."""
        if packed.is_compressed or packed.raw_size <= self.compress_above:
            return None
        data = zlib.compress(packed.data, _LEVEL)
        return Packed(data, is_compressed=True, raw_size=packed.raw_size) if len(data) < len(packed.data) else None

    def compressed_entry(self, held: bytes) -> bytes | None:
        """Compress what a cache entry holds; None where that is as it should be, or there is no entry."""
        entry = read_entry(held) if held[:1] == b"e" else None
        if entry is None or entry.record is None or (packed := self.compressed(entry.record.packed)) is None:
            return None
        return entry_of(replace(entry.record, packed=packed), is_prefetched=entry.is_prefetched)


def unpack(packed: Packed) -> JsonValue:
    raw = zlib.decompress(packed.data) if packed.is_compressed else packed.data
    value: JsonValue = json.loads(raw)
    return value


def entry_of(record: Record | None, *, is_prefetched: bool = False) -> bytes:
    """Write a cache entry; without a record it says that there is no value."""
    prefetched = _IS_PREFETCHED if is_prefetched else 0
    if record is None:
        return _HEADER.pack(b"e", _IS_ABSENT | prefetched, 0, 0, 0)
    flags = prefetched | (_IS_COMPRESSED if record.packed.is_compressed else 0)
    at = (record.updated_at - _START) // timedelta(microseconds=1)
    return _HEADER.pack(b"e", flags, record.version, at, record.packed.raw_size) + record.packed.data


@dataclass(frozen=True, slots=True)
class Entry:
    record: Record | None
    is_prefetched: bool

    @property
    def version(self) -> int:
        return self.record.version if self.record else 0


def read_entry(raw: bytes) -> Entry:
    _, flags, version, at, raw_size = _HEADER.unpack_from(raw)
    is_prefetched = bool(flags & _IS_PREFETCHED)
    if flags & _IS_ABSENT:
        return Entry(None, is_prefetched)
    packed = Packed(raw[_HEADER.size :], is_compressed=bool(flags & _IS_COMPRESSED), raw_size=raw_size)
    return Entry(Record(packed, version, _START + timedelta(microseconds=at)), is_prefetched)


def packed_session_value(packed: Packed) -> bytes:
    """Write a value that only Redis holds, in the cache's form."""
    return entry_of(Record(packed, 0, datetime.now(UTC)))
