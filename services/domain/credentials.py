"""What a credential allows, and what an API key looks like."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["ingest", "read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KEY_PATTERN = r"^atk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$"
_KEY = re.compile(KEY_PATTERN.removesuffix("$"))
_PREFIX_LENGTH = len("atk_") + 12


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is told once; `prefix` names it from then on."""

    key: str
    prefix: str
    hash: bytes


def make_key() -> NewKey:
    prefix = f"atk_{secrets.token_hex(6)}"
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    return NewKey(key, prefix, hash_key(key))


def hash_key(key: str) -> bytes:
    """Hash a key. It is 32 random bytes, which nobody guesses: a slow hash would only make every request slow."""
    return hashlib.sha256(key.encode()).digest()


def prefix_of(key: str) -> str | None:
    """Give what names a key in the table; None for what is no key."""
    return key[:_PREFIX_LENGTH] if _KEY.fullmatch(key) else None
