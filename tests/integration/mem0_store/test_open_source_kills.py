"""Promise 6: a store that is killed at any statement leaves brain and Mem0 agreeing, with nothing to be repaired."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.domain.memories import NewMemory, Owner, brain_id, owner_of
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from tests.support.dying_store import DyingStores, dying_stores
from tests.support.memories_kept import forget_owner, kept, mem0_place, run_sql
from tests.support.openai_server import OpenAIServer

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMA, CUSCO, TACNA = "Vive en Lima", "Vive en Cusco", "Vive en Tacna"


def said(content: str | None, day: int) -> NewMemory:
    return NewMemory("user_city", content, START + timedelta(days=day))


# What stood before, what is saved by the process that dies, and what must stand once it was saved.
STEPS: dict[str, tuple[list[NewMemory], NewMemory, str | None]] = {
    "created": ([], said(LIMA, 1), LIMA),
    "updated": ([said(LIMA, 1)], said(CUSCO, 2), CUSCO),
    "ended": ([said(LIMA, 1)], said(None, 2), None),
    "earlier": ([said(LIMA, 1)], said(TACNA, 0), LIMA),
    "unchanged": ([said(LIMA, 1)], said(LIMA, 2), LIMA),
}


@pytest.fixture
async def dying(database_url: str, server: OpenAIServer) -> AsyncIterator[DyingStores]:
    async with dying_stores(database_url, server.url) as stores:
        yield stores


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
async def test_brain_and_mem0_agree_wherever_the_process_is_killed(
    step: str, dying: DyingStores, store: OpenSourceStore, database: Database
) -> None:
    before, saved, stands = STEPS[step]
    # So that the model's tables are there, and there is somebody else's memory to damage.
    await store.save(owner_of("user", "bystander"), said("Vive en Ica", 1))
    owners = iter(owner_of("user", f"user-{number}") for number in range(200))

    async def prepared() -> Owner:
        owner = next(owners)
        for memory in before:
            await store.save(owner, memory)
        return owner

    whole = await dying.save([(await prepared(), saved)])
    assert whole.events is not None
    assert whole.events > 8
    for fatal in range(1, whole.events + 1):
        owner = await prepared()
        died = await dying.save([(owner, saved)], fatal=fatal)
        assert (died.saved, died.events) == (0, None)
        after = await kept(database)
        assert after.agrees(), f"killed at {fatal} of {whole.events}"
        text = after.texts.get(brain_id(owner, "user_city"))
        stood = before[-1].content if before else None
        assert text in (stood, stands)
        if fatal == whole.events:
            assert text == stands
        await store.save(owner, saved)
        again = await kept(database)
        assert again.agrees()
        assert again.texts.get(brain_id(owner, "user_city")) == stands
    assert (await store.reconcile(None, limit=1_000)).drift == 0


@pytest.mark.chaos
@pytest.mark.slow
async def test_the_first_memory_of_all_survives_kills(dying: DyingStores, database: Database) -> None:
    """The model's tables are made on the way."""
    owner = owner_of("user", "ana")
    for fatal in range(1, 60):
        await dying.save([(owner, said(LIMA, 1))], fatal=fatal)
        assert (await kept(database)).agrees(), f"killed at {fatal}"
        if (await kept(database)).brain:
            break
    assert fatal > 8
    await dying.save([(owner, said(LIMA, 1))])
    assert list((await kept(database)).texts.values()) == [LIMA]


@pytest.mark.chaos
@pytest.mark.slow
async def test_what_a_killed_repair_leaves_is_repaired_by_the_next(
    dying: DyingStores, store: OpenSourceStore, database: Database
) -> None:
    """A memory that is gone from Mem0 is made again by its next save, which dies at every statement in turn."""
    owner = owner_of("user", "ana")
    await store.save(owner, said(LIMA, 1))
    await run_sql(database, f"delete from {await mem0_place(database)}")  # noqa: S608
    for fatal in range(1, 60):
        died = await dying.save([(owner, said(LIMA, 1))], fatal=fatal)
        if died.events is not None or (await kept(database)).mem0:
            break
    assert fatal > 8
    assert (await kept(database)).agrees()
    await forget_owner(database, owner)
    assert (await store.reconcile(None, limit=10)).missing_in_brain == 1
    assert (await kept(database)).mem0 == {}
