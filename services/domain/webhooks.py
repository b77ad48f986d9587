"""What a webhook tells, how it is signed, and where it may be sent."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, get_args
from urllib.parse import urlsplit

from services.domain.errors import InvalidInputError

EventType = Literal["message.digested", "memory.changed"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
MAX_URL = 2_000
_SECRET_PREFIX = "whsec_"  # noqa: S105  what Standard Webhooks begins secrets with
_SECRET_BYTES = 32
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads: `target` is its path and query, `authority` what the Host header says."""

    scheme: str
    host: str
    port: int
    target: str
    authority: str


def make_secret() -> str:
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, *, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002
    """Give the signature as Standard Webhooks writes it (https://www.standardwebhooks.com, version 1)."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    made = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(made.digest()).decode()}"


def address_of(url: str, *, allow_private: bool = False) -> Address:
    """Take a URL apart. Raises `InvalidInputError` for one that no webhook may have.

    Where private addresses are refused, so is plain HTTP, and a host that is such an address by its looks.
    """
    schemes = ("https", "http") if allow_private else ("https",)
    wrong = InvalidInputError("url", f"an address that begins with {' or '.join(f'{each}://' for each in schemes)}")
    if len(url) > MAX_URL or not url.isascii() or any(mark.isspace() or not mark.isprintable() for mark in url):
        raise wrong
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in schemes or not host or "\\" in url:
        raise wrong
    if "@" in parts.netloc or parts.fragment:
        raise InvalidInputError("url", "an address without a password and without a fragment")
    if not allow_private and _is_private_name(host):
        raise InvalidInputError("url", "a host on the public Internet")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], target, parts.netloc)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, whatever it is wrapped in."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(_is_global(each) for each in _unwrapped(found))


def _unwrapped(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Give the address, and those that reach through it: mapped, by 6to4, by Teredo."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    return [address, *(each for each in (address.sixtofour, *(address.teredo or ())) if each)]


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    # Of the reserved ones some lead to IPv4 addresses (NAT64, the old compatible ones).
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _is_private_name(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".local", ".internal")) or not name:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return not is_public(name)
