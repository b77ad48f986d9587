from collections.abc import AsyncIterator

import pytest

from services.llm_proxy.sse import EventTooLongError, event, event_data


async def split(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_events_do_not_depend_on_how_the_bytes_arrive(size: int) -> None:
    raw = b": ping\n\nevent: x\ndata: one\n\ndata:two\r\ndata:  three\r\n\r\n\n\ndata: \xe2\x80\xa8\n\ndata: [DONE]"
    assert [data async for data in event_data(split(raw, size))] == [
        b"one",
        b"two\n three",
        b"\xe2\x80\xa8",
        b"[DONE]",
    ]


async def test_an_endless_event_is_refused() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with pytest.raises(EventTooLongError):
        await anext(event_data(endless()))


async def test_an_event_reads_back_as_it_was() -> None:
    assert [data async for data in event_data(split(event(b'{\n"a": 1}') + event(b"[DONE]"), 4))] == [
        b'{\n"a": 1}',
        b"[DONE]",
    ]
