from collections.abc import AsyncIterator

DONE = b"[DONE]"
_MAX_EVENT_BYTES = 8 * 1024 * 1024


class EventTooLongError(ValueError):
    """A server-sent event is longer than any honest one."""


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each server-sent event.

    Lines end with LF or CR LF only: JSON may hold other characters that Python takes for line ends.
    """
    data: list[bytes] = []
    async for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def event(data: bytes) -> bytes:
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def data_of(whole_event: bytes) -> bytes:
    """Undo `event`."""
    return b"\n".join(line.removeprefix(b"data: ") for line in whole_event.removesuffix(b"\n\n").split(b"\n"))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > _MAX_EVENT_BYTES:
            raise EventTooLongError
    if rest:
        yield rest.removesuffix(b"\r")
