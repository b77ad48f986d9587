"""Promise 5, where a digest is tried again or runs twice at once: what was answered is used, and not paid for again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.digest import DigestActivities
from activities.steps import ChunkInput, DigestResult, DigestStatus, RoomInput
from activities.suspicion import SUSPECT_AFTER
from services.domain.errors import TransientError
from services.memories.prefetching import Prefetching
from services.resources import Resources
from services.worker.activities import wire
from tests.support.mem0_server import Mem0Server
from tests.support.memories_kept import kept
from tests.support.memory_api import archived
from tests.support.openai_server import COMPLETIONS, EMBEDDINGS, OpenAIServer
from tests.support.remembering import Finding, Remembering, asks_for_memories
from tests.support.steps import OF_ROOM_MEMORY, POINTS, Action, Point, point, watch

ROOM = "room:lima"
SAID = ("I live in Lima since May.", "My sister keeps a cat in Quito.")
AFTER = [where for where in POINTS if where.when == "after" and where.client not in OF_ROOM_MEMORY]


@asynccontextmanager
async def digests(resources: Resources, action: Action | None = None) -> AsyncIterator[DigestActivities]:
    async with Prefetching.open(resources.sections) as prefetching:
        yield wire(watch(resources, action) if action else resources, prefetching).digest


async def digest(steps: DigestActivities) -> DigestResult:
    return await ActivityEnvironment().run(steps.digest_next, RoomInput(room_id=ROOM))


def paid_for(model: OpenAIServer) -> Counter[str]:
    """Count what the models were asked, by text, as if each was asked for one at a time."""
    embedded = Counter(f"embed {text}" for body in model.asked(EMBEDDINGS) for text in body["input"])
    return embedded + Counter(step_of(body) for body in model.asked(COMPLETIONS))


def step_of(body: dict[str, Any]) -> str:
    if asks_for_memories(body):
        return "extract"
    return "roll" if "<parts>" in str(body["messages"]) else "summarise"


@pytest.mark.parametrize("where", AFTER, ids=str)
async def test_whoever_tries_again_pays_for_nothing_that_was_written_down(
    where: Point, resources: Resources, model: OpenAIServer
) -> None:
    model.answer = Remembering([Finding("Lima", "I live in Lima.", slug="home")], "The user lives in Lima.")
    # From now on the store knows by which models to embed ahead.
    await resources.memories.save_user_memories("7", [{"slug": "first", "content": "of all"}])
    model.requests.clear()
    await archived(resources, ROOM, *SAID)
    failed: list[Point] = []

    async def fail_once(here: Point) -> None:
        if here == where and not failed:
            failed.append(here)
            raise TransientError("the connection broke")

    async with digests(resources, fail_once) as steps:
        with pytest.raises(TransientError):
            await digest(steps)
        again = await digest(steps)

    assert again.outcome == (None if where.method == "digested" else "digested")
    bill = paid_for(model)
    assert {asked for asked in bill if not asked.startswith("embed")} == {"summarise", "extract"}
    assert len(bill) == len(SAID) + 4  # and the texts of the summary and of the memory
    assert set(bill.values()) == {1}
    [remembered] = await resources.brain.get_all_by_user("42")
    assert remembered.slug == "home"
    assert (await kept(resources.database)).agrees()
    assert {receipt.state for receipt in await resources.rooms.receipts(ROOM)} == {"digested"}


async def test_of_two_attempts_at_once_the_later_uses_what_the_first_recorded(
    resources: Resources, model: OpenAIServer
) -> None:
    """The first timed out and works on: what it is answered meanwhile the second does not ask for."""
    answers = ["I live in Lima since May.", "My sister keeps a cat in Quito."]
    asked = [asyncio.Event(), asyncio.Event()]
    released = [asyncio.Event(), asyncio.Event()]
    turns = iter(range(2))

    async def answer(request: dict[str, Any]) -> str:
        if step_of(request) != "summarise":
            return '{"memories": []}' if asks_for_memories(request) else "I live in Lima since May."
        turn = next(turns)
        asked[turn].set()
        await released[turn].wait()
        return answers[turn]

    await archived(resources, ROOM, "I moved to Lima.")
    async with digests(resources) as steps:
        model.answer = lambda request: '{"memories": []}' if asks_for_memories(request) else "The user moved to Lima."
        await digest(steps)
        model.requests.clear()
        model.answer = answer
        await archived(resources, ROOM, *SAID, first=2)
        attempts = []
        for event in asked:
            attempts.append(asyncio.create_task(digest(steps)))
            await asyncio.wait_for(event.wait(), 30)
        for event, attempt in zip(released, attempts, strict=True):
            event.set()
            assert (await attempt).outcome == "digested"

    assert paid_for(model)["summarise"] == 2
    assert paid_for(model)["roll"] == 1
    wanted = text("select kind, text from summaries where covers_to = 3 order by kind")
    async with resources.database.transaction() as session:
        kept_texts = [tuple(row) for row in await session.execute(wanted)]
    assert kept_texts == [("chunk", answers[0]), ("rolling", answers[0])]


async def fail(where: Point) -> None:
    if where == point("before-digests.keep"):
        raise ValueError(SAID[0])


async def test_a_chunk_that_we_fail_on_while_others_are_digested_is_set_aside(
    resources: Resources, model: OpenAIServer
) -> None:
    """Promise 4, for a fault of ours: the room goes on, and the reason quotes nothing."""
    model.answer = Remembering([], "The user lives in Lima.")
    await archived(resources, ROOM, SAID[0])
    async with digests(resources, fail) as steps, digests(resources) as sound:
        # What was digested before says nothing: a broken deploy comes after it.
        await digest_another(resources, sound, "room:before")
        for _ in range(2 * SUSPECT_AFTER):
            with pytest.raises(ValueError, match="Lima"):
                await digest(steps)
        for number in range(1, SUSPECT_AFTER):
            await digest_another(resources, sound, f"room:{number}")
            with pytest.raises(ValueError, match="Lima"):
                await digest(steps)
        await digest_another(resources, sound, "room:last")
        assert (await digest(steps)).outcome == "quarantined"
    [item] = await resources.quarantine.list_open()
    assert (item.room_id, item.reason, item.detail) == (ROOM, "digest_fails", "ValueError")


async def digest_another(resources: Resources, steps: DigestActivities, room: str) -> None:
    await archived(resources, room, "I live in Lima.")
    done = await ActivityEnvironment().run(steps.digest_next, RoomInput(room_id=room))
    assert done.outcome == "digested"


async def test_what_is_archived_while_memories_are_saved_is_left_to_digest(
    mem0: Mem0Server, resources: Resources, model: OpenAIServer
) -> None:
    """Who archived it has seen the chunk at work, and wakes nobody."""
    model.answer = Remembering([Finding("Lima", "I live in Lima.", slug="home")], "The user lives in Lima.")
    await archived(resources, ROOM, SAID[0])
    async with Prefetching.open(resources.sections) as prefetching:
        activities = wire(resources, prefetching)
        extracted = await digest(activities.digest)
        assert (extracted.outcome, extracted.left) == ("extracted", 0)
        assert extracted.chunk_id is not None
        await archived(resources, ROOM, SAID[1], first=2)
        chunk = ChunkInput(chunk_id=extracted.chunk_id)
        saved = await ActivityEnvironment().run(activities.memories.save_memories, chunk)
        again = await ActivityEnvironment().run(activities.memories.save_memories, chunk)
    assert (saved.saved, saved.left, again.saved, again.left) == (1, 1, 0, 1)
    assert DigestStatus().after(extracted, saved).left == 1


async def test_an_extracted_chunk_whose_answer_was_erased_is_digested_again(
    mem0: Mem0Server, resources: Resources, model: OpenAIServer
) -> None:
    """With a memory that the model was shown, its answer goes, wherever it was: it may be of another room."""
    model.answer = Remembering([Finding("Lima", "I live in Lima.", slug="home")], "The user lives in Lima.")
    await archived(resources, ROOM, SAID[0])
    async with Prefetching.open(resources.sections) as prefetching:
        activities = wire(resources, prefetching)
        extracted = await digest(activities.digest)
        assert extracted.chunk_id is not None
        async with resources.database.transaction() as session:
            await session.execute(text("delete from model_answers where step = 'extract'"))
        chunk = ChunkInput(chunk_id=extracted.chunk_id)
        saved = await ActivityEnvironment().run(activities.memories.save_memories, chunk)
        assert (saved.saved, saved.left) == (0, 1)
        assert (await digest(activities.digest)).outcome == "extracted"
        saved = await ActivityEnvironment().run(activities.memories.save_memories, chunk)
    assert (saved.saved, saved.left) == (1, 0)
