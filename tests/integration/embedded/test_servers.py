import asyncio

import asyncpg
from redis.asyncio import Redis


async def test_fixture_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    print(
        await connection.fetch(
            "select version(), lower('ÑÁ'), to_tsvector('spanish', 'Ñandúes niños CORRÍAN'), to_tsvector('simple','ÑANDÚ')"
        )
    )
    print(await connection.fetch("select * from pg_available_extensions where name='vector'"))
    await connection.close()


async def test_fixture_database_again(database_url: str, redis_url: str, temporal_address: str) -> None:
    assert database_url
    async with Redis.from_url(redis_url) as redis:
        await redis.set("a", "b")


def test_sync(database_url: str, redis_url: str) -> None:
    with __import__("redis").Redis.from_url(redis_url) as r:
        assert r.get("a") is None
