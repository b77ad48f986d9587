from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class FairQueue(Generic[ItemT]):
    """Who waits, by tenant: tenants take turns, and within one whoever came first is first.

    It holds `max_items`. When it is full, the tenant with most items loses its newest: a flood crowds out itself.
    """

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._queues: dict[str, deque[ItemT]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        """Iterate over the tenants that wait, in the order of their turns."""
        return iter(self._queues)

    def __contains__(self, tenant: str) -> bool:
        return tenant in self._queues

    def put(self, tenant: str, item: ItemT) -> ItemT | None:
        """Add an item, and give back the one for which there is no room now: another's, or this one."""
        dropped = None
        if self._count >= self._max_items:
            longest = max(self._queues, key=lambda other: len(self._queues[other]), default=tenant)
            if len(self._queues.get(longest, ())) <= len(self._queues.get(tenant, ())) + 1:
                return item
            self._count -= 1
            dropped = self._queues[longest].pop()
        self._queues.setdefault(tenant, deque()).append(item)
        self._count += 1
        return dropped

    def first(self, tenant: str) -> ItemT:
        return self._queues[tenant][0]

    def take(self, tenant: str) -> ItemT:
        """Remove the tenant's first item; the turn passes to the next tenant."""
        queue = self._queues.pop(tenant)
        item = queue.popleft()
        self._count -= 1
        if queue:
            self._queues[tenant] = queue
        return item

    def remove(self, tenant: str, item: ItemT) -> None:
        """Remove an item that waits no longer, if it is still here."""
        queue = self._queues.get(tenant, deque())
        if item in queue:
            queue.remove(item)
            self._count -= 1
            if not queue:
                del self._queues[tenant]
