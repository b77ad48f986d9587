import asyncio

import pytest

from services.llm_proxy.upstreams.first_use import FirstUse


class Model:
    """Counts how often it is opened; opens when it is let, or fails."""

    def __init__(self) -> None:
        self.opened = 0
        self.fails = False
        self.is_let = asyncio.Event()

    async def open(self) -> str:
        self.opened += 1
        await self.is_let.wait()
        if self.fails:
            raise OSError("no such file")
        return f"opening {self.opened}"


async def test_nothing_is_opened_before_it_is_used() -> None:
    model = Model()
    first_use = FirstUse(model.open)
    await first_use.settled()
    assert model.opened == 0


async def test_everyone_who_asks_meanwhile_gets_the_same() -> None:
    model = Model()
    first_use = FirstUse(model.open)
    asking = [asyncio.create_task(first_use.get()) for _ in range(10)]
    await asyncio.sleep(0)
    model.is_let.set()
    assert set(await asyncio.gather(*asking)) == {"opening 1"}
    assert await first_use.get() == "opening 1"


async def test_whoever_stops_waiting_does_not_stop_it_for_the_others() -> None:
    model = Model()
    first_use = FirstUse(model.open)
    impatient, patient = (asyncio.create_task(first_use.get()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    model.is_let.set()
    assert await patient == "opening 1"


async def test_a_failure_is_everyones_and_the_next_one_tries_again() -> None:
    model = Model()
    model.fails = True
    model.is_let.set()
    first_use = FirstUse(model.open)
    assert [type(one) for one in await asyncio.gather(first_use.get(), first_use.get(), return_exceptions=True)] == [
        OSError,
        OSError,
    ]
    assert model.opened == 1
    model.fails = False
    assert await first_use.get() == "opening 2"


async def test_it_settles_only_when_the_opening_has_ended() -> None:
    model = Model()
    first_use = FirstUse(model.open)
    impatient = asyncio.create_task(first_use.get())
    await asyncio.sleep(0)
    impatient.cancel()
    settling = asyncio.create_task(first_use.settled())
    await asyncio.sleep(0)
    assert not settling.done()
    model.fails = True
    model.is_let.set()
    await settling
    with pytest.raises(asyncio.CancelledError):
        await impatient
