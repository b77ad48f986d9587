"""After a session's first turn its values are read from Redis; the share of such reads is counted."""

import asyncio
from typing import Any

from services.domain.memories import Owner, owner_of
from services.resources import Resources
from services.section_store.keys import every_key, read_slot_key
from services.section_store.scanning import scan_all
from tests.support.memory_api import Caller, running_api, turn

PEOPLE = [f"p{number}" for number in range(8)]
KEYS = [f"k{number}" for number in range(5)]
# Preferences, and two histories: all commands of the person, and those of the session.
READS = len(KEYS) + 2


async def slots(resources: Resources) -> list[str]:
    return [key for key in await scan_all(resources.redis, every_key()) if read_slot_key(key)]


async def entries(resources: Resources) -> int:
    held: list[Any] = [await resources.redis.get(key) for key in await slots(resources)]
    return sum(value is not None and value.startswith(b"e") for value in held)


async def keep(resources: Resources, owner: Owner) -> None:
    for key in KEYS:
        await resources.sections.set_user_preference(owner, key, f"value of {key}")
    await resources.sections.add_command_history(owner, "undo", session_id="named")


async def until_warmed(resources: Resources, entries_wanted: int) -> None:
    async with asyncio.timeout(30):
        while await entries(resources) < entries_wanted:
            await asyncio.sleep(0.05)


async def read_all(api: Caller, person: str) -> None:
    for key in KEYS:
        assert (await api.get(f"/v1/users/{person}/preferences/{key}")).json()["value"] == f"value of {key}"
    asked: tuple[dict[str, str], ...] = ({}, {"session_id": "named"})
    for params in asked:
        page = (await api.get(f"/v1/users/{person}/commands", params=params)).json()
        assert [one["command"] for one in page["commands"]] == ["undo"]


async def test_a_first_turn_lets_all_following_reads_hit(environment: None, resources: Resources) -> None:
    for person in PEOPLE:
        await keep(resources, owner_of("user", person))
    for key in await slots(resources):
        await resources.redis.unlink(key)
    warmed = PEOPLE[1:]
    async with running_api() as url, Caller(base_url=url, timeout=30, trust_env=False) as api:
        for person in warmed:
            room = f"/v1/rooms/user:{person}/messages"
            assert (await api.post(room, params={"session_id": "named"}, json=turn("hi"))).status_code == 202
        await until_warmed(resources, len(warmed) * READS)
        for person in PEOPLE:
            await read_all(api, person)
    # What the API counted is saved when it stops.
    statistics = await resources.sections.statistics()
    assert statistics.counts["prefetched_hits"] == len(warmed) * READS
    assert statistics.hit_rate == len(warmed) / len(PEOPLE)


async def test_a_room_is_the_session_where_none_is_named(environment: None, resources: Resources) -> None:
    owner = owner_of("user", "p0")
    await resources.sections.add_command_history(owner, "undo", session_id="user:p0")
    for key in await slots(resources):
        await resources.redis.unlink(key)
    async with running_api() as url, Caller(base_url=url, timeout=30, trust_env=False) as api:
        assert (await api.post("/v1/rooms/user:p0/messages", json=turn("hi"))).status_code == 202
        await until_warmed(resources, 2)
        await api.get("/v1/users/p0/commands", params={"session_id": "user:p0"})
    assert (await resources.sections.statistics()).counts["prefetched_hits"] == 1
