"""What operators do with a re-embedding: on the command line, in Temporal, and when it goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from services.mem0_store.open_source import OpenSourceStore
from services.postgres.vectors.models import EmbeddingModels
from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.memories_kept import kept
from tests.support.openai_server import OpenAIServer
from tests.support.reembeds import DIMENSIONS, NEW, OLD, World, embed, start_reembed, word
from workflows.pacing import Progress
from workflows.reembed import Reembed

MESSAGES = range(40)


@pytest.fixture
async def world(resources: Resources, model: OpenAIServer) -> World:
    model.embed, model.models = embed, [*model.models, *DIMENSIONS]
    assert isinstance(resources.memory_store, OpenSourceStore)
    filled = World(resources.database, resources.model, resources.memory_store)
    await filled.say(MESSAGES)
    await filled.remember(100)
    return filled


@pytest.fixture
def afterturn(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


async def roles(world: World) -> dict[str, str]:
    return {state.model: state.role for state in await EmbeddingModels(world.database).states()}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.1)


async def test_the_commands_change_the_model_go_back_and_drop_one(
    worker: None, world: World, afterturn: CommandLine
) -> None:
    done = await afterturn("reembed", NEW, "--json")
    # Besides, whatever the worker has digested of it by now.
    told = done.document
    assert told.pop("embedded") > len(MESSAGES)
    assert (done.code, told) == (
        0,
        {
            "workflow_id": f"reembed:{NEW}",
            "state": "done",
            "model": NEW,
            "switched": True,
            "dimensions": 48,
            "recall": 1.0,
        },
    )
    assert f"set EMBEDDING_MODEL={NEW}" in done.err
    assert (await afterturn("reembed", NEW)).out == f"{NEW} is the current model already\n"
    status = await afterturn("reembed", "--status", "--json")
    assert [(one["model"], one["role"], one["missing"]) for one in status.document["models"]] == [
        (NEW, "current", 0),
        (OLD, "former", 0),
    ]
    found = await afterturn("search", "anything", "--json")
    assert found.document["by_meaning"]
    assert f"EMBEDDING_MODEL says {OLD}; the database reads {NEW}" in (await afterturn("reembed", "--status")).err

    refused = await afterturn("reembed", "--drop", NEW)
    assert (refused.code, refused.out) == (2, "")
    assert (await afterturn("reembed", "--rollback")).out == f"{OLD} is read again\n"
    assert await roles(world) == {OLD: "current", NEW: "former"}
    assert (await afterturn("reembed", "--drop", NEW, "--json")).document == {"model": NEW, "state": "dropped"}
    assert await roles(world) == {OLD: "current"}
    assert (await afterturn("reembed", "--rollback")).code == 1
    assert (await kept(world.database)).agrees()
    assert all([await world.finds(number) for number in (*MESSAGES, 100)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "MODEL: takes a model, or one of"),
        ((NEW, "--status"), "MODEL: takes a model, or one of"),
        (("a model",), "MODEL: takes a model's name"),
        (("--drop", "nobodys-model"), "MODEL: takes one of those beside the current one"),
        ((NEW, "--max-per-second", "0"), "--max-per-second"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    environment: None, afterturn: CommandLine, options: tuple[str, ...], words: str
) -> None:
    refused = await afterturn("reembed", *options)
    assert (refused.code, refused.out) == (2, "")
    assert words in refused.err


async def test_a_model_that_the_proxy_does_not_know_fails_at_once_by_its_name(
    worker: None, world: World, afterturn: CommandLine
) -> None:
    failed = await afterturn("reembed", "nobodys-model")
    assert (failed.code, failed.out) == (1, "")
    assert "one that the LLM proxy knows; nobodys-model it does not" in failed.err
    assert await roles(world) == {OLD: "current"}


async def test_a_misspelt_field_fails_the_start_at_once_naming_it(worker: None, resources: Resources) -> None:
    handle = await start_reembed(resources, NEW, max_per_secnod=1)
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    assert isinstance(failure.value.cause, ApplicationError)
    assert "max_per_secnod" in str(failure.value.cause)


async def test_a_cancelled_run_leaves_the_current_model_and_the_next_one_goes_on(
    worker: None, world: World, resources: Resources, afterturn: CommandLine
) -> None:
    handle = await start_reembed(resources, NEW, max_per_second=1)

    async def embedded() -> bool:
        seen: Progress = await handle.query(Reembed.progress)
        total = seen.total or 0
        return total - seen.done < len(MESSAGES) < total

    await until(embedded)
    # However long the commands take, something is left to be done.
    await handle.signal(Reembed.pause)
    busy = await afterturn("reembed", "--drop", NEW)
    assert (busy.code, f"temporal workflow cancel --workflow-id reembed:{NEW}" in busy.err) == (1, True)
    again = await afterturn("reembed", NEW)
    assert (again.code, f"reembed:{NEW} runs already" in again.err) == (1, True)
    await handle.signal(Reembed.resume)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    assert isinstance(failure.value.cause, CancelledError)
    assert await roles(world) == {OLD: "current", NEW: "shadow"}
    stopped = next(state for state in await EmbeddingModels(world.database).states() if state.model == NEW)
    assert 0 < stopped.missing < len(MESSAGES)
    assert (await afterturn("reembed", "--rollback")).code == 1
    finished = await (await start_reembed(resources, NEW)).result()
    assert finished.switched
    assert stopped.missing <= finished.embedded < len(MESSAGES)
    assert all([await world.finds(number) for number in (*MESSAGES, 100)])


async def test_a_model_whose_vectors_say_nothing_is_not_switched_to(
    worker: None, world: World, resources: Resources, model: OpenAIServer
) -> None:
    """It answers otherwise each time that it is asked: what is stored is found by nobody."""
    asked = 0

    def forgetful(text: str, request: dict[str, Any]) -> list[float]:
        nonlocal asked
        asked += 1
        return embed(word(asked) if request["model"] == NEW else text, request)

    model.embed = forgetful
    handle = await start_reembed(resources, NEW)
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    cause = failure.value.cause
    assert isinstance(cause, ActivityError)
    assert "REEMBED_RECALL asks for 0.95: the current model stays" in str(cause.cause)
    assert await roles(world) == {OLD: "current", NEW: "shadow"}
    assert all([await world.finds(number) for number in (*MESSAGES, 100)])
