"""The section store through the client, as the guide shows it: async, sync, and over plain HTTP."""

import ast
import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from afterturn_client.errors import CredentialRefusedError, InvalidFieldError, VersionConflictError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.sections import Sections
from afterturn_client.sync_client import SyncMemoryClient
from afterturn_client.sync_sections import SyncSections

from tests.support.api_stand_in import Answer, ApiStandIn
from tests.support.memory_api import CallAs, Caller

GUIDE = Path(__file__).parents[3] / "docs" / "sections.md"


def block(kind: str) -> str:
    return GUIDE.read_text().split(f"```{kind}\n")[1].split("```")[0]


def key_of(caller: Caller) -> str:
    return caller.headers["Authorization"].removeprefix("Bearer ")


async def test_the_guides_client_examples_run(service: Caller, api_url: str) -> None:
    code = compile(block("python client"), str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with MemoryClient.connect(api_url=api_url, api_key=key_of(service)) as memory:
        await eval(code, {"memory": memory})  # noqa: S307  our own page


async def test_the_guides_requests_are_answered(service: Caller) -> None:
    for line in block("http").splitlines():
        method, path, *body = line.split(" ", 2)
        answer = await service.request(method, path, json=json.loads(body[0]) if body else None)
        assert answer.is_success, (line, answer.text)


def test_the_guide_and_the_sync_client_have_every_call() -> None:
    calls = {name: call for name, call in vars(Sections).items() if not name.startswith("_")}
    assert {name for name in calls if f".{name}(" not in block("python client")} == set()
    for name, call in calls.items():
        assert inspect.signature(getattr(SyncSections, name)) == inspect.signature(call), name


@pytest.mark.parametrize("key", ["a/b", "..", "ñ é 😀", "%2F", "search", "?x=1#y"])
async def test_any_key_arrives_as_it_is(service: Caller, api_url: str, key: str) -> None:
    async with MemoryClient.connect(api_url=api_url, api_key=key_of(service)) as memory:
        sections = memory.sections(user_id="ana")
        kept = [
            await sections.set_user_preference(key, key),
            await sections.store_fact(key, key),
            await sections.set_session_state("s1", key, key),
            await sections.set_temporary(key, key, ttl_seconds=60),
        ]
        read = [
            await sections.get_user_preference(key),
            await sections.get_fact(key),
            await sections.get_session_state("s1", key),
            await sections.get_temporary(key),
        ]
        assert [(one.key, one.value) for one in kept] == [(key, key)] * 4
        assert [one and one.value for one in read] == [key] * 4


async def test_versions_namespaces_and_owners_keep_apart(service: Caller, call_as: CallAs, api_url: str) -> None:
    ben = await call_as(user="ben")
    async with (
        MemoryClient.connect(api_url=api_url, api_key=key_of(service)) as memory,
        MemoryClient.connect(api_url=api_url, api_key=key_of(ben)) as of_ben,
    ):
        ana = memory.sections(user_id="ana")
        first = await ana.store_fact("plan", "team", if_version=0)
        for stale in (0, first.version + 1):
            with pytest.raises(VersionConflictError):
                await ana.store_fact("plan", "other", if_version=stale)
        with pytest.raises(VersionConflictError):
            await ana.delete("facts", "plan", if_version=first.version + 1)
        plugin = memory.sections(user_id="ana", namespace="board")
        await plugin.store_fact("plan", "the plan of the board")
        assert [one.value for one in (await ana.search_facts("plan")).facts] == ["team"]
        assert len((await ana.search_facts("plan", everywhere=True)).facts) == 2
        # What belongs to somebody else is as if it were not there.
        assert await of_ben.sections(user_id="ana").get_fact("plan") is None
        await ana.set_temporary("code", 1, ttl_seconds=60)
        assert await of_ben.sections(user_id="ana").get_temporary("code") is None
        reader = await call_as(user="ana", scopes=("read",))
        async with MemoryClient.connect(api_url=api_url, api_key=key_of(reader)) as reading:
            assert await reading.sections(user_id="ana").get_fact("plan") == first
            with pytest.raises(CredentialRefusedError):
                await reading.sections(user_id="ana").store_fact("plan", "mine")


async def test_a_command_whose_answer_is_lost_is_added_once() -> None:
    added = Answer(201, {"id": "1", "session_id": None, "added_at": "2026-01-02T00:00:00Z"})
    async with ApiStandIn(Answer(0), added) as api, MemoryClient.connect(api_url=api.url) as memory:
        await memory.sections(user_id="ana").add_command_history("undo")
    first, second = api.requests
    assert first.body == second.body
    assert first.body["command_id"]


async def test_threads_have_the_same_calls(service: Caller, api_url: str) -> None:
    def work() -> list[Any]:
        with SyncMemoryClient.connect(api_url=api_url, api_key=key_of(service)) as memory:
            acme = memory.sections(company_id="acme", namespace="board")
            with pytest.raises(InvalidFieldError):
                memory.sections().get_fact("plan")
            kept = acme.set_user_preference("layout", {"columns": 3})
            with pytest.raises(VersionConflictError):
                acme.set_user_preference("layout", 1, if_version=0)
            acme.delete("user_preferences", "layout", if_version=kept.version)
            return [kept.value, acme.get_user_preference("layout"), acme.list_keys("facts").keys]

    assert await asyncio.to_thread(work) == [{"columns": 3}, None, ()]
