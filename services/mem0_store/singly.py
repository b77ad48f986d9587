"""Saves many memories each by itself, some at once."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.domain.memories import NewMemory, Owner, brain_id
from services.mem0_store.port import MemoryStore, Outcome

_AT_ONCE = 8


async def save_singly(store: MemoryStore, said: Sequence[tuple[Owner, NewMemory]]) -> list[Outcome]:
    """Save each by itself; what is said twice under one slug is saved in the order given."""
    turns: defaultdict[UUID, list[int]] = defaultdict(list)
    for place, (owner, memory) in enumerate(said):
        turns[brain_id(owner, memory.slug)].append(place)
    few = asyncio.Semaphore(_AT_ONCE)
    outcomes: dict[int, Outcome] = {}

    async def save_in_turn(places: Sequence[int]) -> None:
        async with few:
            for place in places:
                outcomes[place] = await _outcome(store, *said[place])

    async with asyncio.TaskGroup() as tasks:
        for places in turns.values():
            tasks.create_task(save_in_turn(places))
    return [outcomes[place] for place in range(len(said))]


async def _outcome(store: MemoryStore, owner: Owner, memory: NewMemory) -> Outcome:
    try:
        return await store.save(owner, memory)
    except Exception as error:  # noqa: BLE001  whatever it is, the others are saved
        return error
