"""Whoever is forgotten while everything is at work stays forgotten; who comes back starts afresh."""

import asyncio
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient

from services.domain.memories import owner_of
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.forgetting import CANARY, forget, nothing_is_left, repeating, repeats_what_it_is_shown
from tests.support.mem0_server import ADD, API_KEY, Asked, Fault, Late, Mem0Server
from tests.support.openai_server import OpenAIServer
from tests.support.platform_store import held
from tests.support.rooms import until_digested

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")
SHARED = "room:shared"
OLD: list[dict[str, Any]] = [
    {"room_id": "user:ana", "user": f"I collect {CANARY} maps.", "assistant": f"{CANARY}!", "turn_id": "old"},
    {"room_id": SHARED, "user": f"I collect {CANARY} maps.", "assistant": CANARY, "user_id": "ana", "turn_id": "old"},
]


async def test_digests_in_flight_and_producers_that_repeat_old_ids_bring_nothing_back(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    answers = repeats_what_it_is_shown(model)
    asked, may_answer = asyncio.Event(), asyncio.Event()
    answered = model.answer

    async def slow(request: dict[str, Any]) -> str:
        done = answered(request)
        assert isinstance(done, str)
        if CANARY in str(request) and not may_answer.is_set():
            asked.set()
            await may_answer.wait()
        return done

    model.answer = slow
    await memory.record_turn(SHARED, user="I collect red boats.", assistant="Boats!", user_id="ben", turn_id="b1")
    for turn in OLD:
        await memory.record_turn(**turn)
    await asyncio.wait_for(asked.wait(), 60)

    async with repeating(memory, *OLD):
        receipt = await forget(resources, "user", "ana")
        may_answer.set()
        await asyncio.sleep(2)
    await memory.record_turn("user:ana", user="I collect red boats.", assistant="Welcome!", turn_id="new")
    await until_digested(resources, "user:ana", 2, seconds=90)
    await until_digested(resources, SHARED, 2, seconds=90)

    await nothing_is_left(resources, CANARY)
    assert receipt.erased["messages"] > 0
    assert [one.content for one in await resources.rooms.messages("user:ana")] == ["I collect red boats.", "Welcome!"]
    assert [one.slug for one in await resources.brain.get_all_by_user("ana")] == ["boats"]
    assert [one.user_id for one in await resources.rooms.messages(SHARED)] == ["ben", "ben"]
    assert answers.findings


async def test_what_lands_late_in_mem0_is_found_after_the_grace_time(
    monkeypatch: pytest.MonkeyPatch, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    repeats_what_it_is_shown(model)
    async with Mem0Server() as mem0:
        for name, value in {
            "MEM0_BACKEND": "platform",
            "MEM0_API_KEY": API_KEY,
            "MEM0_HOST": mem0.url,
            "MEM0_TIMEOUT": "2",
            "MEM0_GRACE_SECONDS": "6",
        }.items():
            monkeypatch.setenv(name, value)
        late = asyncio.Event()

        def landing_late(request: Asked) -> Fault | None:
            if request.route == ADD and CANARY in str(request.body):
                late.set()
                return Late(4, status=500)
            return None

        mem0.fault = landing_late
        async with running_workers():
            await memory.record_turn("user:ben", user="I collect red boats.", assistant="Boats!")
            await until_digested(resources, "user:ben", 2, seconds=90)
            await memory.record_turn(**OLD[0])
            await asyncio.wait_for(late.wait(), 90)
            receipt = await forget(resources, "user", "ana")
        await mem0.landed()
        assert held(mem0, ANA) == {}
        assert list(held(mem0, BEN)) == ["boats"]
        assert receipt.erased["mem0.memories"] >= 1
        await nothing_is_left(resources, CANARY)


async def test_two_who_forget_at_once_and_one_who_forgets_again_do_no_harm(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    repeats_what_it_is_shown(model)
    await memory.record_turn("user:ben", user="I collect red boats.", assistant="Boats!")
    for turn in OLD:
        await memory.record_turn(**turn)
    await until_digested(resources, SHARED, 2, seconds=90)
    await until_digested(resources, "user:ben", 2, seconds=90)
    one, other, third = await asyncio.gather(
        forget(resources, "user", "ana"), forget(resources, "user", "ana"), forget(resources, "company", "nobody")
    )
    assert one.run_id == other.run_id
    assert third.own_row == "none"
    again = await forget(resources, "user", "ana")
    assert again.run_id != one.run_id
    assert again.own_row == "none"
    assert {name: number for name, number in again.erased.items() if number} == {}
    await nothing_is_left(resources, CANARY)
    assert len(await resources.rooms.messages("user:ben")) == 2
