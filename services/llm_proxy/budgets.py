"""What a tenant may use in a minute: requests, tokens, both or neither."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.llm_proxy.caller import Caller
from services.llm_proxy.errors import over_budget

_KNOWN_TENANTS = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class Spending:
    """What one request takes: an estimate at first, what it really was when that is known."""

    def __init__(self, estimate: int) -> None:
        self.tokens = estimate


class _Bucket:
    """Holds a minute's worth and fills up steadily. It may be overdrawn: a request larger than it all still passes."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._size = float(per_minute)
        self._level = float(per_minute)
        self._clock = clock
        self._filled_at = clock()

    def take(self, amount: float) -> None:
        self._fill()
        self._level = min(self._size, self._level - amount)

    def wait_for(self, queued: float) -> float:
        """Give the seconds until something is left once `queued` has been taken too."""
        self._fill()
        lacking = queued - self._level
        # Something is one request, or one token.
        return 0.0 if lacking <= -1 else (lacking + 1) * 60.0 / self._size

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._filled_at) * self._size / 60.0)
        self._filled_at = now


class _TenantBudget:
    def __init__(self, allowance: Allowance, clock: Callable[[], float]) -> None:
        per_minute = allowance.requests_per_minute, allowance.tokens_per_minute
        self._requests, self._tokens = (None if limit is None else _Bucket(limit, clock) for limit in per_minute)
        self._turn = asyncio.Lock()
        self._queued_requests = 0
        self._queued_tokens = 0
        self._changed = asyncio.Event()

    async def take(self, tokens: int, patience: float) -> None:
        """Take one request and `tokens`, in the order in which they were asked for."""
        wait = self._wait(self._queued_requests, self._queued_tokens)
        if wait > patience:
            raise over_budget(wait)
        self._queued_requests += 1
        self._queued_tokens += tokens
        try:
            # What was estimated may turn out otherwise.
            async with asyncio.timeout(patience), self._turn:
                await self._until_something_is_left()
                self._take(1, tokens)
        except TimeoutError:
            raise over_budget(self._wait(0, 0)) from None
        finally:
            self._queued_requests -= 1
            self._queued_tokens -= tokens

    def correct(self, tokens: int) -> None:
        """Take `tokens` more, or give some back."""
        self._take(0, tokens)
        self._changed.set()

    async def _until_something_is_left(self) -> None:
        while (seconds := self._wait(0, 0)) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _take(self, requests: int, tokens: int) -> None:
        if self._requests:
            self._requests.take(requests)
        if self._tokens:
            self._tokens.take(tokens)

    def _wait(self, requests: int, tokens: int) -> float:
        return max(
            self._requests.wait_for(requests) if self._requests else 0.0,
            self._tokens.wait_for(tokens) if self._tokens else 0.0,
        )


class Budgets:
    """A tenant without an allowance of its own has the default; all who name no tenant share one."""

    def __init__(self, default: Allowance, tenants: Mapping[str, Allowance], clock: Callable[[], float]) -> None:
        self._default = default
        self._tenants = tenants
        self._clock = clock
        self._budgets: OrderedDict[str, _TenantBudget] = OrderedDict()

    @asynccontextmanager
    async def spend(self, caller: Caller, estimate: int) -> AsyncIterator[Spending]:
        """Take the estimate, waiting as long as the caller can; settle at the end with what the spending says then."""
        allowance = self._tenants.get(caller.tenant, self._default)
        spending = Spending(estimate)
        if allowance == Allowance():
            yield spending
            return
        budget = self._budget_of(caller.tenant, allowance)
        await budget.take(estimate, caller.wait_seconds)
        try:
            yield spending
        finally:
            budget.correct(spending.tokens - estimate)

    def _budget_of(self, tenant: str, allowance: Allowance) -> _TenantBudget:
        budget = self._budgets.pop(tenant, None) or _TenantBudget(allowance, self._clock)
        self._budgets[tenant] = budget
        if len(self._budgets) > _KNOWN_TENANTS:
            # Whoever asked for nothing for longest has most likely filled up again.
            self._budgets.popitem(last=False)
        return budget
