"""Short transactions of a synchronous driver, each in a thread: Mem0's own code cannot be awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from services.domain.errors import MemoryStoreUnavailableError
from services.mem0_store.failures import translated
from services.postgres.database import CONNECT_SECONDS, SESSION, STATEMENT_SECONDS, Tenant, begin
from services.postgres.server_url import psycopg_url

# Threads and connections: each thread holds one while it works.
_THREADS = 8
T = TypeVar("T")


class Transactions:
    """A pool of connections and the threads that use them, both its own; nothing connects before the first use."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor, before: Callable[[], None]) -> None:
        self._engine = engine
        self._threads = threads
        self._before = before

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, *, before: Callable[[], None]) -> AsyncIterator[Self]:
        """Open both; on leaving, what is under way is finished, what only waits is dropped.

        `before` is done in the thread, ahead of each transaction.
        """
        engine = _engine(database_url)
        threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="mem0")
        try:
            yield cls(engine, threads, before)
        finally:
            # Not a task, which a loop that ends cancels, also before a thread was found for it.
            closing = asyncio.get_running_loop().run_in_executor(None, _close, engine, threads)
            await asyncio.shield(closing)

    async def run(self, work: Callable[[Session], T], tenant: Tenant | None = None) -> T:
        """Do `work` in one transaction; without a tenant as the system, which sees all.

        A caller that is cancelled leaves the thread to commit or to roll back: all is done, or nothing.
        """
        try:
            doing = asyncio.get_running_loop().run_in_executor(self._threads, self._committed, work, tenant)
        except RuntimeError:
            raise MemoryStoreUnavailableError("the memory store is closed") from None
        try:
            return await doing
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise MemoryStoreUnavailableError("the memory store was closed") from None

    def _committed(self, work: Callable[[Session], T], tenant: Tenant | None) -> T:
        with translated():
            self._before()
            with Session(self._engine, expire_on_commit=False) as session:
                begin(session, tenant)
                done = work(session)
                session.commit()
                return done


def _is_cancelled() -> bool:
    """Tell a caller that is cancelled from work that was dropped."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _close(engine: Engine, threads: ThreadPoolExecutor) -> None:
    threads.shutdown(wait=True, cancel_futures=True)
    engine.dispose()


def _engine(database_url: str) -> Engine:
    session = {**SESSION, "statement_timeout": str(STATEMENT_SECONDS * 1000)}
    connect: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": session.pop("application_name"),
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        # A server that is gone without a word is noticed, so that no thread waits for ever.
        "tcp_user_timeout": STATEMENT_SECONDS * 1000,
        "keepalives_idle": STATEMENT_SECONDS,
    }
    return create_engine(
        psycopg_url(database_url),
        pool_size=_THREADS,
        max_overflow=0,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args=connect,
    )
