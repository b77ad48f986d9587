"""Promise 10: a person who is forgotten is found nowhere afterwards, and others keep what is theirs."""

import asyncio
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.rooms import buffer_key
from sqlalchemy import text

from services.domain.ids import message_uid
from services.domain.memories import owner_of
from services.resources import Resources
from tests.support.canaries import everything, vectors_of
from tests.support.forgetting import CANARY, forget, nothing_is_left, repeats_what_it_is_shown
from tests.support.memories_kept import kept, run_sql
from tests.support.openai_server import OpenAIServer
from tests.support.remembering import Finding, Remembering
from tests.support.rooms import until_digested

ANA, BEN, ACME = owner_of("user", "ana"), owner_of("user", "ben"), owner_of("company", "acme")
SHARED = "room:shared"


@pytest.fixture
def remembering(model: OpenAIServer) -> Remembering:
    return repeats_what_it_is_shown(model)


async def talk(memory: MemoryClient, resources: Resources) -> None:
    """Ana and Ben talk in their own rooms, and in a shared one, where Ana speaks between two turns of Ben's."""
    await memory.record_turn("user:ana", user=f"I collect {CANARY} maps.", assistant=f"{CANARY}!", turn_id="own")
    await memory.record_turn("user:ben", user="I collect red boats.", assistant="Boats!", turn_id="own")
    await memory.record_turn(SHARED, user="I collect red boats.", assistant="Boats!", user_id="ben", turn_id="b1")
    await memory.record_turn(SHARED, user=f"I collect {CANARY} maps.", assistant=CANARY, user_id="ana", turn_id="a1")
    await memory.record_turn(SHARED, user="We meet at nine.", assistant="At nine.", user_id="ben", turn_id="b2")
    for room, number in (("user:ana", 2), ("user:ben", 2), (SHARED, 6)):
        await until_digested(resources, room, number, seconds=90)


@pytest.mark.usefixtures("by_hand_alone")
async def test_a_forgotten_person_is_found_nowhere_and_others_keep_what_is_theirs(
    worker: None,
    resources: Resources,
    memory: MemoryClient,
    remembering: Remembering,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await talk(memory, resources)
    bad = f'{{"role": "nobody", "user_id": "ana", "content": "{CANARY}"}}'.encode()
    await resources.redis.rpush("user:ana:messages", f"broken {CANARY}".encode())
    await resources.redis.rpush(buffer_key(SHARED), bad)
    await resources.sections.set_user_preference(ANA, "colour", CANARY)
    async with asyncio.timeout(60):
        while len(await resources.quarantine.list_open()) < 2:
            await resources.temporal.get_schedule_handle("process-rooms").trigger()
            await asyncio.sleep(1)
    assert {one.slug for one in await resources.brain.get_all_by_user("ana")} == {f"{CANARY}_maps"}
    boats = await resources.brain.get_all_by_user("ben")

    before = await of_ben(resources)
    receipt = await forget(resources, "user", "ana")

    await until_digested(resources, SHARED, 4, seconds=90)
    assert await of_ben(resources) == before
    assert CANARY not in caplog.text
    await nothing_is_left(resources, CANARY, "ana:")
    said = [(one.content, one.user_id) for one in await resources.rooms.messages(SHARED)]
    assert said == [
        ("I collect red boats.", "ben"),
        ("Boats!", "ben"),
        ("We meet at nine.", "ben"),
        ("At nine.", "ben"),
    ]
    assert await resources.brain.get_all_by_user("ben") == boats
    assert await resources.rooms.messages("user:ana") == []
    assert len(await resources.rooms.messages("user:ben")) == 2
    gone = [message_uid("user:ana", "own:user"), message_uid(SHARED, "a1:user"), message_uid(SHARED, "a1:assistant")]
    assert await vectors_of(resources, gone) == 0
    assert await vectors_of(resources, [message_uid(SHARED, "b1:user")]) == 1
    assert (await kept(resources.database)).agrees()
    rolling = await resources.summaries.rolling(SHARED)
    assert rolling is not None
    assert (rolling.covers_from, rolling.covers_to) == (1, 6)
    assert receipt.own_row == "deleted"
    assert receipt.erased["messages"] == 4
    assert receipt.erased["quarantine"] == 2
    assert receipt.erased["memory_versions"] >= 1
    assert receipt.finished_at is not None


async def test_a_forgotten_company_takes_its_rooms_along_and_leaves_its_members_theirs(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer, remembering: Remembering
) -> None:
    for owner, table in ((ANA, "profiles"), (ACME, "companies")):
        await run_sql(
            resources.database,
            f"insert into {table} (id, external_id) values (:id, :external)",  # noqa: S608
            id=owner.id,
            external=owner.external_id,
        )
    member = "insert into company_members (company_id, user_id, role) values (:company, :person, 'admin')"
    await run_sql(resources.database, member, company=ACME.id, person=ANA.id)
    remembering.findings = [
        Finding(f"opens at {CANARY}", f"The company opens at {CANARY}.", slug="hours"),
        Finding("collect red boats", "The user collects red boats.", slug="boats"),
    ]
    at_work: dict[str, Any] = {"user_id": "ana", "company_id": "acme"}
    await memory.record_turn("room:acme", user=f"Our company opens at {CANARY}.", assistant="Noted.", **at_work)
    await memory.record_turn(
        "user:ana", user="I collect red boats.", assistant="Boats!", company_id="acme", turn_id="t"
    )
    await until_digested(resources, "room:acme", 2, seconds=90)
    await until_digested(resources, "user:ana", 2, seconds=90)
    assert [one.slug for one in await resources.brain.get_all_by_company("acme")] == ["hours"]

    receipt = await forget(resources, "company", "acme")

    await nothing_is_left(resources, CANARY)
    assert receipt.own_row == "deleted"
    assert receipt.erased["rooms"] == 1
    assert await resources.brain.get_all_by_company("acme") == []
    assert [one.content for one in await resources.rooms.messages("user:ana")] == ["I collect red boats.", "Boats!"]
    assert [one.slug for one in await resources.brain.get_all_by_user("ana")] == ["boats"]
    assert await run_count(resources, "select count(*) from messages where company_id is not null") == 0
    assert await run_count(resources, "select count(*) from company_members") == 0
    # The same turn again, as it came then, is the same turn.
    await memory.record_turn(
        "user:ana", user="I collect red boats.", assistant="Boats!", company_id="acme", turn_id="t"
    )
    await until_digested(resources, "user:ana", 2, seconds=60)
    assert len(await resources.rooms.messages("user:ana")) == 2
    assert await resources.quarantine.list_open() == []


async def of_ben(resources: Resources) -> dict[str, list[str]]:
    """Give every row that is Ben's own, byte for byte."""
    marks = (f'"{BEN.id}"', '"user:ben"')
    tables = await everything(resources, leaving_out=["model_answers"])
    return {table: [row for row in rows if any(mark in row for mark in marks)] for table, rows in tables.items()}


async def run_count(resources: Resources, statement: str) -> int:
    async with resources.database.transaction() as session:
        return await session.scalar(text(statement)) or 0
