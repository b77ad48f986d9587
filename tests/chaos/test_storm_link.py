"""Troubles overlap in a storm: a way that opens too early, twice or never again would count for something else."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.embedded.ports import LOOPBACK, free_port
from tests.support.openai_server import OpenAIServer
from tests.support.storm.link import Link


async def test_two_refusals_that_end_at_once_leave_one_open_way() -> None:
    async with OpenAIServer() as server, Link(port := free_port(), server.port) as link:
        first, second = AsyncExitStack(), AsyncExitStack()
        for refusal in (first, second):
            await refusal.enter_async_context(link.refusing())
        assert not await _is_open(port)
        await asyncio.gather(first.aclose(), second.aclose())
        assert await _is_open(port)


async def test_a_refusal_lasts_until_the_last_one_is_over() -> None:
    async with OpenAIServer() as server, Link(port := free_port(), server.port) as link:
        async with link.refusing():
            async with link.refusing():
                pass
            assert not await _is_open(port)
        assert await _is_open(port)


async def test_a_refusal_that_begins_while_the_way_opens_refuses() -> None:
    async with OpenAIServer() as server, Link(port := free_port(), server.port) as link:
        first = AsyncExitStack()
        await first.enter_async_context(link.refusing())
        opening = asyncio.create_task(first.aclose())
        await asyncio.sleep(0)
        async with link.refusing():
            await opening
            assert not await _is_open(port)
        assert await _is_open(port)


async def test_what_is_held_up_by_two_waits_for_both() -> None:
    async with OpenAIServer() as server, Link(port := free_port(), server.port) as link:
        with link.holding_up():
            with link.holding_up():
                pass
            asking = asyncio.create_task(_ask(port))
            await asyncio.sleep(0.2)
            assert not asking.done()
        assert (await asking).startswith(b"HTTP/1.1")


@pytest.mark.parametrize("times", [2, 5])
async def test_a_server_that_several_bring_up_at_once_listens_once(times: int) -> None:
    server = OpenAIServer()
    await asyncio.gather(*(server.up() for _ in range(times)))
    assert await _is_open(server.port)
    await asyncio.gather(server.down(), server.down())
    assert not await _is_open(server.port)


async def _ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: model\r\n\r\n")
        return await reader.readline()
    finally:
        writer.transport.abort()


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.transport.abort()
    return True
