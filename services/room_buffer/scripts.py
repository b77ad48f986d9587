"""The Lua scripts beside this module, and what Redis' errors become."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

from afterturn_client.lua import Script
from afterturn_client.redis_connection import REDIS_ERRORS
from redis.exceptions import ResponseError

from services.domain.errors import PermanentError, TransientError


@cache
def script(*names: str) -> Script:
    """Return a script made of these files, joined."""
    return Script("\n".join(files(__package__).joinpath(f"{name}.lua").read_text() for name in names))


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turn what redis-py raises into errors of ours, in our own words: a server's message may quote the command."""
    try:
        yield
    except REDIS_ERRORS as error:
        if isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
            raise PermanentError("Redis: a key of this name holds no list") from None
        cause = "it is full" if "OOM" in str(error) else type(error).__name__
        raise TransientError(f"Redis: {cause}") from None
