import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from services.llm_proxy.errors import ProxyError
from services.llm_proxy.fairness import FairSlots


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def slots(capacity: int, max_waiting: int = 1000, clock: Clock | None = None) -> FairSlots:
    return FairSlots("gpu", capacity=capacity, max_waiting=max_waiting, clock=clock or Clock())


class Crowd:
    """Requests that hold their place until told to let go; `served` has their tenants in the order of their places."""

    def __init__(self, places: FairSlots) -> None:
        self.places = places
        self.served: list[str] = []
        self.holding: list[tuple[str, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, tenant: str, times: int = 1, seconds: float = 30) -> None:
        self.tasks += [asyncio.create_task(self._one(tenant, seconds)) for _ in range(times)]
        await settled()

    async def release(self, times: int = 1) -> None:
        for _ in range(times):
            _, leave = self.holding.pop(0)
            leave.set()
            await settled()

    async def leave(self, tenants: str) -> None:
        for one in [held for held in self.holding if held[0] in tenants]:
            self.holding.remove(one)
            one[1].set()
            await settled()

    async def _one(self, tenant: str, seconds: float) -> None:
        async with self.places.slot(tenant, seconds):
            self.served.append(tenant)
            leave = asyncio.Event()
            self.holding.append((tenant, leave))
            await leave.wait()


@asynccontextmanager
async def crowd(places: FairSlots) -> AsyncIterator[Crowd]:
    one = Crowd(places)
    try:
        yield one
    finally:
        for task in one.tasks:
            task.cancel()
        await asyncio.gather(*one.tasks, return_exceptions=True)
        assert (places.in_use, places.waiting) == (0, 0), "every place is given back"


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_than_its_capacity_are_served() -> None:
    async with crowd(slots(3)) as all_of_them:
        await all_of_them.ask("a", 10)
        assert (all_of_them.places.in_use, all_of_them.places.waiting) == (3, 7)
        await all_of_them.release(4)
        assert (len(all_of_them.served), all_of_them.places.in_use) == (7, 3)


async def test_tenants_take_turns_whoever_came_first() -> None:
    async with crowd(slots(1)) as all_of_them:
        await all_of_them.ask("flood", 50)
        await all_of_them.ask("b", 2)
        await all_of_them.ask("c", 3)
        await all_of_them.release(9)
        # The one in front was served alone; from then on each has its turn.
        assert all_of_them.served == ["flood", "flood", "b", "c", "flood", "b", "c", "flood", "c", "flood"]


async def test_one_tenant_alone_gets_all_the_places() -> None:
    async with crowd(slots(8)) as all_of_them:
        await all_of_them.ask("a", 20)
        assert all_of_them.places.in_use == 8


async def test_a_flood_leaves_a_quarter_to_those_who_are_about() -> None:
    clock = Clock()
    async with crowd(slots(8, clock=clock)) as all_of_them:
        await all_of_them.ask("b")
        await all_of_them.release()
        await all_of_them.ask("flood", 20)
        assert all_of_them.places.in_use == 6
        await all_of_them.ask("b")
        assert all_of_them.served[-1] == "b", "it waits for nobody"
        clock.now += 61
        await all_of_them.release()
        assert all_of_them.places.in_use == 8, "the other has gone"


async def test_the_tenant_that_holds_fewest_is_next() -> None:
    async with crowd(slots(4)) as all_of_them:
        await all_of_them.ask("a", 1)
        await all_of_them.ask("b", 3)
        await all_of_them.ask("b", 5)
        await all_of_them.ask("a", 5)
        assert all_of_them.served == ["a", "b", "b", "b"]
        # One of b's three.
        all_of_them.holding.append(all_of_them.holding.pop(0))
        await all_of_them.release()
        assert all_of_them.served[-1] == "a"


async def test_beside_a_flood_four_tenants_wait_for_two_places_at_most() -> None:
    async with crowd(slots(8)) as all_of_them:
        await all_of_them.ask("b")
        await all_of_them.ask("flood", 200)
        await all_of_them.leave("b")
        for rounds in range(1, 11):
            for tenant in "bcde":
                await all_of_them.ask(tenant)
            assert all_of_them.places.in_use == 8, "two places were kept for them"
            # Theirs are the next two that the flood leaves.
            await all_of_them.release(2)
            assert [tenant for tenant in all_of_them.served if tenant != "flood"] == [*"b", *"bcde" * rounds]
            await all_of_them.leave("bcde")
        assert all_of_them.served.count("flood") >= 6 + 2 * 10, "and the flood goes on"


async def test_a_full_queue_costs_the_flood_and_nobody_else() -> None:
    async with crowd(slots(1, max_waiting=10)) as all_of_them:
        await all_of_them.ask("flood", 11)
        await all_of_them.ask("flood")
        with pytest.raises(ProxyError) as raised:
            await all_of_them.tasks[-1]
        assert (raised.value.status, raised.value.code) == (429, "queue_full")
        assert int(raised.value.headers()["Retry-After"]) >= 1
        await all_of_them.ask("b", 5)
        assert all_of_them.places.waiting == 10
        assert all(not task.done() for task in all_of_them.tasks[-5:])
        assert sum(task.done() for task in all_of_them.tasks[:11]) == 5
        # Nobody has more than another now: the newcomer is refused.
        await all_of_them.ask("b")
        with pytest.raises(ProxyError):
            await all_of_them.tasks[-1]


async def test_who_waits_too_long_is_told_so() -> None:
    async with crowd(slots(1)) as all_of_them:
        await all_of_them.ask("a")
        await all_of_them.ask("b", seconds=0.01)
        with pytest.raises(ProxyError) as raised:
            await all_of_them.tasks[-1]
        assert (raised.value.status, raised.value.code) == (503, "queue_timeout")
        assert raised.value.headers()
        assert all_of_them.places.waiting == 0


async def test_a_waiter_that_leaves_is_forgotten() -> None:
    async with crowd(slots(1)) as all_of_them:
        await all_of_them.ask("a", 3)
        all_of_them.tasks[1].cancel()
        await settled()
        assert all_of_them.places.waiting == 1
        await all_of_them.release()
        assert len(all_of_them.served) == 2


async def test_a_place_given_to_one_that_just_left_is_passed_on() -> None:
    async with crowd(slots(1)) as all_of_them:
        await all_of_them.ask("a")
        await all_of_them.ask("b")
        await all_of_them.ask("c")
        _, leave = all_of_them.holding.pop(0)
        leave.set()
        # It has its place, and has not run since.
        await asyncio.sleep(0)
        all_of_them.tasks[1].cancel()
        await settled()
        assert all_of_them.served == ["a", "c"]


@pytest.mark.parametrize("seed", range(20))
async def test_no_place_is_lost_or_doubled_whatever_happens(seed: int) -> None:
    random, clock = Random(seed), Clock()
    capacity, most = random.randint(1, 6), 0
    places = slots(capacity, max_waiting=random.randint(1, 20), clock=clock)

    async def one(tenant: str) -> None:
        nonlocal most
        async with places.slot(tenant, random.choice([0.001, 5])):
            most = max(most, places.in_use)
            await asyncio.sleep(random.choice([0, 0, 0.001]))

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(one(random.choice("aaaaabc"))))
        clock.now += random.random()
        if random.random() < 0.3:
            random.choice(tasks).cancel()
        if random.random() < 0.3:
            await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), ProxyError, asyncio.CancelledError}
    assert (places.in_use, places.waiting) == (0, 0)
    assert most <= capacity
    async with places.slot("a", 1):
        pass
