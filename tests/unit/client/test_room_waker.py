import asyncio
import logging

import pytest
from afterturn_client.waking import RoomWaker, fairness_key


class FakeTemporal:
    """Starts rooms, unless it is down or hangs."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str | None]] = []
        self.down = False
        self.hangs = False

    async def start(self, room_id: str, owner: str | None) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise ConnectionError("my-secret-words")
        self.started.append((room_id, owner))


async def test_waking_returns_at_once_and_closing_waits_for_it() -> None:
    temporal = FakeTemporal()
    waker = RoomWaker(temporal.start)
    waker.wake("user:1", "acme")
    assert temporal.started == []
    await waker.aclose(5)
    assert temporal.started == [("user:1", "acme")]
    assert (waker.sent, waker.failed) == (1, 0)


async def test_an_outage_is_said_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    temporal = FakeTemporal()
    waker = RoomWaker(temporal.start)
    for down in (True, True, False, True):
        temporal.down = down
        waker.wake("user:1", None)
        await waker.aclose(5)
    assert (waker.sent, waker.failed) == (1, 3)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "my-secret-words" not in caplog.text


async def test_what_hangs_is_given_up() -> None:
    temporal = FakeTemporal()
    temporal.hangs = True
    waker = RoomWaker(temporal.start, seconds=0.01)
    waker.wake("user:1", None)
    await waker.aclose(5)
    assert waker.failed == 1


async def test_closing_drops_what_is_still_pending_after_the_grace() -> None:
    temporal = FakeTemporal()
    temporal.hangs = True
    waker = RoomWaker(temporal.start)
    waker.wake("user:1", None)
    await waker.aclose(0.01)
    assert waker.failed == 1


async def test_too_many_at_once_are_left_to_the_sweep() -> None:
    temporal = FakeTemporal()
    waker = RoomWaker(temporal.start, most_in_flight=3)
    for number in range(5):
        waker.wake(f"user:{number}", None)
    await waker.aclose(5)
    assert (waker.sent, waker.failed) == (3, 2)


def test_a_fairness_key_fits_into_what_temporal_takes() -> None:
    assert fairness_key(None) is None
    assert fairness_key("acme") == "acme"
    assert len(fairness_key("x" * 200) or "") == 64
    assert fairness_key("x" * 200) != fairness_key("x" * 199)
