"""Pooled connections that the server has ended meanwhile: whoever asks next gets an answer all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from services.domain.errors import TransientError
from services.mem0_store.transactions import Transactions
from services.postgres.database import Database
from services.postgres.server_url import driver_url

AT_ONCE = 8
ROUNDS = 3
OTHERS = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = current_database() and "
Ask = Callable[[], Coroutine[None, None, int]]


@pytest.fixture(params=["database", "mem0"])
async def ask(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Ask]:
    """Give what takes a connection for a moment and answers with the number of its backend."""
    if request.param == "database":
        async with Database.open(database_url, pool_size=AT_ONCE) as database:

            async def once() -> int:
                async with database.transaction() as session:
                    return int((await session.scalars(text("select pg_backend_pid() from pg_sleep(0.02)"))).one())

            yield once
    else:
        async with Transactions.open(database_url, before=lambda: None) as transactions:

            def work(session: Session) -> int:
                return int(session.scalars(text("select pg_backend_pid() from pg_sleep(0.02)")).one())

            async def in_a_thread() -> int:
                return await transactions.run(work)

            yield in_a_thread


async def test_those_whose_pooled_connections_are_gone_take_others(ask: Ask, database_url: str) -> None:
    for _ in range(ROUNDS):
        before = set(await asyncio.gather(*(ask() for _ in range(AT_ONCE))))
        assert len(before) > 1
        assert await end_all(database_url) >= len(before)
        after = set(await asyncio.gather(*(ask() for _ in range(AT_ONCE))))
        assert not before & after


async def test_connections_that_are_ended_at_any_moment_are_told_as_an_outage(ask: Ask, database_url: str) -> None:
    """What was under way may have been done: only the caller can know whether it may be repeated."""
    asking = [asyncio.create_task(ask()) for _ in range(60 * AT_ONCE)]
    ended = 0
    while not all(task.done() for task in asking):
        await asyncio.sleep(0.05)
        ended += await end_all(database_url)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    told = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(error, TransientError) for error in told), told
    assert ended > 0
    assert len(told) <= ended
    assert len(told) < len(answers)
    assert await ask() > 0


async def test_a_connection_that_ends_while_it_is_prepared_is_told_as_an_outage(database_url: str) -> None:
    """What is done first on a new connection, SQLAlchemy does outside of its own errors."""
    engine = create_async_engine(driver_url(database_url))

    def end(connection: Any, record: object) -> None:
        connection.driver_connection.terminate()

    event.listen(engine.sync_engine.pool, "connect", end, insert=True)
    for _ in range(3):
        with pytest.raises(TransientError, match=r"^Postgres: InterfaceError$"):
            async with Database(engine).transaction():
                pass
    await engine.dispose()


async def end_all(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(OTHERS + "pid <> pg_backend_pid()"))
    finally:
        await connection.close()
