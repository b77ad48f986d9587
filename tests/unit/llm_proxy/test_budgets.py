import asyncio

import pytest

from services.llm_proxy.budgets import Allowance, Budgets
from services.llm_proxy.caller import Caller
from services.llm_proxy.errors import ProxyError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def spend(budgets: Budgets, caller: Caller, estimate: int = 1, actual: int | None = None) -> None:
    async with budgets.spend(caller, estimate) as spending:
        if actual is not None:
            spending.tokens = actual


async def refused(budgets: Budgets, caller: Caller, estimate: int = 1) -> int:
    with pytest.raises(ProxyError) as raised:
        await spend(budgets, caller, estimate)
    assert (raised.value.status, raised.value.code) == (429, "over_budget")
    return int(raised.value.headers()["Retry-After"])


A, B = Caller(tenant="a"), Caller(tenant="b")


async def test_without_a_limit_nothing_is_refused() -> None:
    budgets = Budgets(Allowance(), {}, Clock())
    for _ in range(1000):
        await spend(budgets, A, 10**9)


async def test_requests_are_limited_by_the_minute_for_each_tenant(clock: Clock) -> None:
    budgets = Budgets(Allowance(requests_per_minute=6), {}, clock)
    for _ in range(6):
        await spend(budgets, A)
    assert await refused(budgets, A) == 10
    await spend(budgets, B)
    clock.now += 9
    assert await refused(budgets, A) == 1
    clock.now += 1
    await spend(budgets, A)
    assert await refused(budgets, A) == 10


async def test_tokens_are_settled_with_what_was_counted(clock: Clock) -> None:
    budgets = Budgets(Allowance(tokens_per_minute=600), {}, clock)
    await spend(budgets, A, 1000, actual=100)
    await spend(budgets, A, 10, actual=500)
    assert await refused(budgets, A) == 1
    clock.now += 1
    # A request larger than the whole budget passes, and is paid off afterwards.
    await spend(budgets, A, 10, actual=610)
    assert await refused(budgets, A) == 61


async def test_what_is_under_way_counts(clock: Clock) -> None:
    budgets = Budgets(Allowance(tokens_per_minute=600), {}, clock)
    async with budgets.spend(A, 700):
        await refused(budgets, A)
    await refused(budgets, A)


async def test_a_tenant_may_have_limits_of_its_own(clock: Clock) -> None:
    budgets = Budgets(Allowance(requests_per_minute=1), {"b": Allowance(requests_per_minute=3)}, clock)
    await spend(budgets, A)
    await refused(budgets, A)
    for _ in range(3):
        await spend(budgets, B)
    await refused(budgets, B)


async def test_all_without_a_name_share_a_budget(clock: Clock) -> None:
    budgets = Budgets(Allowance(requests_per_minute=1), {}, clock)
    await spend(budgets, Caller.of({}, ""))
    await refused(budgets, Caller.of({}, ""))


async def test_who_can_wait_is_deferred_in_order() -> None:
    loop = asyncio.get_running_loop()
    budgets = Budgets(Allowance(requests_per_minute=1200), {}, loop.time)
    served: list[int] = []

    async def one(number: int) -> None:
        async with budgets.spend(Caller(tenant="a", wait_seconds=60), 1):
            served.append(number)

    await asyncio.gather(*(one(number) for number in range(1205)))
    assert served == list(range(1205))


async def test_who_cannot_wait_long_enough_is_refused_at_once(clock: Clock) -> None:
    budgets = Budgets(Allowance(requests_per_minute=6), {}, clock)
    for _ in range(6):
        await spend(budgets, A)
    assert await refused(budgets, Caller(tenant="a", wait_seconds=9)) == 10
    waiting = asyncio.create_task(spend(budgets, Caller(tenant="a", wait_seconds=11)))
    await asyncio.sleep(0)
    # The one that waits comes first.
    assert await refused(budgets, Caller(tenant="a", wait_seconds=11)) == 20
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await refused(budgets, A) == 10, "who gave up has taken nothing"


async def test_what_is_given_back_lets_the_next_one_go() -> None:
    budgets = Budgets(Allowance(tokens_per_minute=60), {}, Clock())
    patient = Caller(tenant="a", wait_seconds=3600)
    async with budgets.spend(A, 100) as spending:
        waiting = asyncio.create_task(spend(budgets, patient))
        await asyncio.sleep(0)
        assert not waiting.done()
        spending.tokens = 0
    await waiting
