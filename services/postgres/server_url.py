"""What `DATABASE_URL` says, for each of our two drivers: it is written for libpq, and asyncpg reads less of it."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL, make_url

from services.domain.errors import InvalidInputError

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# Both drivers know these, asyncpg in an address of its own only.
_SERVER = {
    "sslmode",
    *_FILES,
    "sslpassword",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
}
_PLACE = {"host", "port"}
# A pooler between us and the server may keep no statements.
_OF_ASYNCPG = {"statement_cache_size", "prepared_statement_cache_size"}
_CHANNEL = "channel_binding"
_SYSTEM = "system"


def driver_url(database_url: str) -> URL:
    """Give the address for asyncpg; what it does not take from there is in `connect_args`."""
    url = _checked(database_url).set(drivername="postgresql+asyncpg")
    return url.set(query={name: value for name, value in url.query.items() if name in _PLACE | _OF_ASYNCPG})


def connect_args(database_url: str) -> dict[str, Any]:
    """Give what else asyncpg is told."""
    options = _of_server(_checked(database_url).query)
    return {"dsn": f"postgresql://?{urlencode(options)}"} if options else {}


def psycopg_url(database_url: str) -> URL:
    url = _checked(database_url)
    place = {name: value for name, value in url.query.items() if name in _PLACE}
    return url.set(drivername="postgresql+psycopg", query={**place, **_of_server(url.query)})


def _checked(database_url: str) -> URL:
    """Raise `InvalidInputError` for an option that would be lost on one of the drivers."""
    url = make_url(database_url)
    unknown = sorted(set(url.query) - _SERVER - _PLACE - _OF_ASYNCPG - {"ssl", _CHANNEL})
    if unknown:
        raise InvalidInputError("DATABASE_URL", f"no option {unknown[0]}: {', '.join(sorted(_SERVER))}")
    if url.query.get(_CHANNEL) == "require":
        raise InvalidInputError("DATABASE_URL", "no channel_binding=require: use sslmode=verify-full")
    return url


def _of_server(query: Mapping[str, Any]) -> dict[str, str]:
    options = {"sslmode" if name == "ssl" else name: str(value) for name, value in query.items()}
    return {name: _file(name, value) if name in _FILES else value for name, value in options.items() if name in _SERVER}


def _file(name: str, path: str) -> str:
    """Neither driver finds the system's certificates in every place where Python does."""
    if name == "sslrootcert" and path == _SYSTEM:
        path = ssl.get_default_verify_paths().cafile or ""
    if not Path(path).is_file():
        raise InvalidInputError("DATABASE_URL", f"the path of a file as {name}")
    return path
