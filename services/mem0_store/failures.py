"""Turns what Postgres, its driver and Mem0 raise into our errors, without quoting a value."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from services.domain.errors import AfterturnError, MemoryStoreUnavailableError, PermanentError


@contextmanager
def translated() -> Iterator[None]:
    """Raise `PermanentError` for a value that Postgres can never hold, `MemoryStoreUnavailableError` for all else.

    Retrying is always safe: nothing is written unless all of it is.
    """
    try:
        yield
    except AfterturnError:
        raise
    except DBAPIError as error:
        raise _ours(error.orig or error) from None
    except Exception as error:  # noqa: BLE001  Mem0 raises what it likes
        raise _ours(error) from None


def _ours(error: BaseException) -> AfterturnError:
    name = type(error).__name__
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    told = f"{name} ({state})" if state else name
    if isinstance(error, psycopg.DataError | UnicodeError):
        return PermanentError(f"Postgres cannot hold this memory: {told}")
    if isinstance(error, psycopg.Error | SQLAlchemyError | OSError):
        return MemoryStoreUnavailableError(f"Postgres: {told}")
    return MemoryStoreUnavailableError(f"Mem0: {told}")
