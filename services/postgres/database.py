"""Opens the pool, and turns what Postgres raises into our errors without quoting a value."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import asyncpg
from asyncpg.exceptions import InternalClientError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from services.domain.errors import TransientError
from services.domain.memories import Owner
from services.postgres.server_url import connect_args, driver_url

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
# Whatever the server's own default: a commit that a killed Postgres forgets would lose what Redis has given up, and
# to compile a search takes longer than to run it.
SESSION = {"application_name": "afterturn", "synchronous_commit": "on", "jit": "off"}

# Raised as they are while SQLAlchemy prepares a new connection, which the server may end meanwhile.
_DRIVERS = (asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError)

# The first statement of every transaction, in one round trip. It ends with the transaction, so that a pool cannot hand
# one caller's rights to the next.
ASSUME = text(
    "select set_config('role', :role, true), set_config('afterturn.user_id', :user_id, true), "
    "set_config('afterturn.company_id', :company_id, true)"
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who looks: a person, a company's own service, or a person inside one company.

    A person sees what is theirs and what is of their companies; inside one, of that one only. A company's rows are
    written by the company, or by a person inside it who may speak for it.
    """

    user_id: UUID | None = None
    company_id: UUID | None = None

    @classmethod
    def of(cls, owner: Owner) -> Self:
        return cls(user_id=owner.id) if owner.type == "user" else cls(company_id=owner.id)


def role_settings(tenant: Tenant | None) -> dict[str, str]:
    """Give the parameters of `ASSUME`; without a tenant it is the system, which sees all."""
    if tenant is None:
        return {"role": "afterturn_system", "user_id": "", "company_id": ""}
    return {
        "role": "afterturn_tenant",
        "user_id": str(tenant.user_id or ""),
        "company_id": str(tenant.company_id or ""),
    }


class Database:
    """A pool of connections. Every session is one short transaction; none is held across a model call."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, *, pool_size: int = 10) -> AsyncIterator["Database"]:
        """Open a pool on the running loop; it connects at first use and is closed on the same loop."""
        engine = create_async_engine(
            driver_url(database_url),
            pool_size=pool_size,
            max_overflow=0,
            # Few connections are used often, each with its prepared statements; the others rest.
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={
                **connect_args(database_url),
                "timeout": CONNECT_SECONDS,
                "command_timeout": STATEMENT_SECONDS,
                "server_settings": SESSION,
            },
        )
        try:
            yield cls(engine)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def transaction(self, tenant: Tenant | None = None) -> AsyncIterator[AsyncSession]:
        """Commit on leaving, roll back on an error; without a tenant the session is the system's and sees all.

        Raises `TransientError` for whatever Postgres or the network refuses: retrying is always safe, since every
        write here is idempotent. A broken constraint passes through, for it is a fault of ours.
        """
        try:
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                await session.run_sync(begin, tenant)
                yield session
                await session.commit()
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise TransientError(f"Postgres: {_cause(error)}") from None
        except (SQLAlchemyError, *_DRIVERS, OSError, TimeoutError) as error:
            raise TransientError(f"Postgres: {type(error).__name__}") from None


def begin(session: Session, tenant: Tenant | None) -> None:
    """Assume the role; what this tells of a pooled connection that is gone, a ping needs three round trips for.

    All others as old are given up with it, so that the second try has a new one.
    """
    settings = role_settings(tenant)
    try:
        session.execute(ASSUME, settings)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        session.rollback()
        session.execute(ASSUME, settings)


def _cause(error: DBAPIError) -> str:
    """Name the error by class and SQLSTATE: its message may quote values."""
    state = getattr(error.orig, "sqlstate", None)
    name = type(error.orig.__cause__ or error.orig).__name__ if error.orig else type(error).__name__
    return f"{name} ({state})" if state else name
