"""A worker may be started before Temporal; it may be stopped before it, too."""

import asyncio
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import pytest

from services.embedded.ports import LOOPBACK
from tests.support.worker_process import worker_process

SECONDS = 60
WORKER, COMMAND = ("services.worker",), ("services.cli", "worker")


def started(program: tuple[str, ...], port: int) -> AbstractAsyncContextManager[Process]:
    """Start a worker whose Temporal should be at this port."""
    return worker_process(*program, stderr=PIPE, PYTHONWARNINGS="error", TEMPORAL_ADDRESS=f"{LOOPBACK}:{port}")


@contextmanager
def port_of_nobody() -> Iterator[int]:
    """Give a port that refuses connections, and that no other test's server is given meanwhile."""
    with socket.socket() as kept:
        kept.bind((LOOPBACK, 0))
        yield kept.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("program", [WORKER, COMMAND])
async def test_a_worker_that_waits_for_temporal_ends_when_it_is_told(
    program: tuple[str, ...], number: signal.Signals
) -> None:
    with port_of_nobody() as port:
        async with started(program, port) as process, asyncio.timeout(SECONDS):
            assert process.stderr is not None
            while b"waiting for Temporal" not in await process.stderr.readline():
                assert process.returncode is None
            process.send_signal(number)
            _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")


async def test_a_temporal_that_takes_the_connection_and_says_nothing_holds_up_no_end() -> None:
    arrived = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(say_nothing, LOOPBACK, 0) as silent,
        started(WORKER, silent.sockets[0].getsockname()[1]) as process,
        asyncio.timeout(SECONDS),
    ):
        await arrived.wait()
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")
