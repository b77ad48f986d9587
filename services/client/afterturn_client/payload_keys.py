"""Keys that encrypt what Temporal keeps, each with a name, so that a payload can say which one opens it."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass

from afterturn_client.errors import InvalidFieldError

PAYLOAD_KEYS = "AFTERTURN_PAYLOAD_KEYS"
TAKES = (
    "`name:key`, or several with commas between them, the one that encrypts first, or `none`; "
    "a key is 32 bytes in base64 (`openssl rand -base64 32`)"
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NONE = "none"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class PayloadKeys:
    """All of them decrypt; without an `encrypting` one nothing is encrypted."""

    by_name: Mapping[str, bytes]
    encrypting: str | None


NO_KEYS = PayloadKeys({}, None)


def read_payload_keys(written: str) -> PayloadKeys:
    first, *others = given = [one.strip() for one in written.split(",")]
    named = [one.partition(":") for one in (others if first == _NONE else given)]
    keys = {name: _key(encoded) for name, _, encoded in named if _NAME.fullmatch(name)}
    if not keys or len(keys) < len(named):
        raise InvalidFieldError(PAYLOAD_KEYS, TAKES)
    return PayloadKeys(keys, None if first == _NONE else next(iter(keys)))


def _key(encoded: str) -> bytes:
    try:
        key = b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidFieldError(PAYLOAD_KEYS, TAKES)
    return key
