"""The tools of the section store: there where they are switched on, apart from what applications keep."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from services.agent_tools.arguments import MOST_CONTENT
from services.agent_tools.keeping import FOUND_SHOWN
from services.agent_tools.memory_tools import MEMORY_TOOLS
from services.agent_tools.opening import open_tools
from services.agent_tools.section_tools import SECTION_TOOLS
from services.domain.memories import owner_of
from services.domain.sections import AGENT_NAMESPACE
from services.resources import Resources
from tests.support.mcp_clients import ask, by_http, by_standard_streams, key_of, refused
from tests.support.memory_api import Caller, StartApi

ALL = [tool.name for tool in (*MEMORY_TOOLS, *SECTION_TOOLS)]
READING = ["search_facts", "get_fact", "get_preference"]
WRITING = ["store_fact", "set_preference"]
SWITCHED_ON = {"AGENT_TOOLS_SECTIONS": "true"}
ANA = owner_of("user", "ana")
CANARY = "xylophone"
Connect = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture
async def connect(
    request: pytest.FixtureRequest,
    start_api: StartApi,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Connect:
    if request.param == "standard streams":
        return lambda key: by_standard_streams(tmp_path, key, **SWITCHED_ON)
    for name, value in SWITCHED_ON.items():
        monkeypatch.setenv(name, value)
    url = await start_api()
    return lambda key: by_http(url, key)


async def values(client: Client, tool: str, key: str) -> list[tuple[str, str]]:
    found = (await ask(client, tool, key=key))["values"]
    return [(one["value"], one["kept_by"]) for one in found]


@pytest.mark.parametrize("connect", ["http", "standard streams"], indirect=True)
async def test_each_is_listed_and_called_and_nothing_of_others_is_seen(connect: Connect, resources: Resources) -> None:
    await resources.sections.store_fact(ANA, "order", "the application's")
    async with connect(await key_of(resources, "ana", "acme")) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(listed) == ALL
        assert "only it can change that one" in (client.instructions or "")
        for name in (*READING, *WRITING):
            hints = listed[name].annotations
            assert hints
            assert (hints.read_only_hint, hints.destructive_hint) == (name in READING, name in WRITING)
            assert listed[name].output_schema
        for tool, look_up in (("store_fact", "get_fact"), ("set_preference", "get_preference")):
            for value, outcome in (("4711", "created"), ("4711", "unchanged"), ("4712", "replaced")):
                assert await ask(client, tool, key="order", value=value) == {"key": "order", "outcome": outcome}
            assert await values(client, look_up, "order") == [("4712", "agent")]
        [fact] = (await ask(client, "search_facts", query="Which order?"))["facts"]
        assert (fact["key"], fact["value"], fact["is_cut"]) == ("order", "4712", False)
        assert await values(client, "get_fact", "shoe size") == []
    # Company, section and namespace are never an argument: a key of the company alone names no person.
    async with connect(await key_of(resources, "ben", "acme", ("read",))) as client:
        assert [tool.name for tool in (await client.list_tools()).tools if tool.name in READING + WRITING] == READING
        for look_up in ("get_fact", "get_preference"):
            assert await values(client, look_up, "order") == []
        assert (await ask(client, "search_facts", query="Which order?"))["facts"] == []
        for tool in WRITING:
            assert "lacks the scope `write`" in await refused(client, tool, key="order", value="ben's")
    kept = [await resources.sections.get_fact(ANA, "order", namespace=one) for one in ("default", AGENT_NAMESPACE)]
    assert [one and one.value for one in kept] == ["the application's", "4712"]
    assert await resources.sections.get_fact(owner_of("user", "ben"), "order", namespace=AGENT_NAMESPACE) is None


async def test_they_are_not_there_unless_switched_on(
    api_url: str, resources: Resources, call_as: Callable[..., Any]
) -> None:
    async with by_http(api_url, await key_of(resources, "ana")) as client:
        for tool in READING + WRITING:
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool(tool, {"key": "order", "value": "4711", "query": "order"})
        assert "only it can change that one" not in (client.instructions or "")
    service: Caller = await call_as("ana")
    assert (await service.get("/v1/users/ana/facts", params={"namespace": AGENT_NAMESPACE})).json()["keys"] == []


async def test_what_the_application_keeps_is_read_where_the_operator_lets_it(
    start_api: StartApi, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AGENT_TOOLS_SECTIONS", "AGENT_TOOLS_APPLICATION_VALUES"):
        monkeypatch.setenv(name, "true")
    sections = resources.sections
    await sections.store_facts(ANA, {"Plan 2026 (new)": {"name": "team", "seats": 12}, "terms": ["word"] * 2_000})
    await sections.store_fact(ANA, "plan", "of a plugin", namespace="board")
    await sections.set_user_preference(ANA, "tone", "formal")
    async with by_http(await start_api(), await key_of(resources, "ana")) as client:
        assert await ask(client, "set_preference", key="tone", value="brief") == {"key": "tone", "outcome": "created"}
        assert await values(client, "get_preference", "tone") == [("formal", "application"), ("brief", "agent")]
        assert await values(client, "get_fact", "plan") == []
        assert await values(client, "get_fact", "Plan 2026 (new)") == [('{"name": "team", "seats": 12}', "application")]
        [terms] = (await ask(client, "get_fact", key="terms"))["values"]
        assert (len(terms["value"]), terms["is_cut"]) == (MOST_CONTENT, True)
        await ask(client, "store_fact", key="plan_wish", value="More seats in the plan.")
        found = (await ask(client, "search_facts", query="plan", limit=20))["facts"]
        cut = {one["key"]: (one["kept_by"], one["is_cut"]) for one in found}
        assert cut == {
            "Plan 2026 (new)": ("application", False),
            "plan_wish": ("agent", False),
            "terms": ("application", True),
        }
        assert len(found[-1]["value"]) == FOUND_SHOWN
    tone = await sections.get_user_preference(ANA, "tone")
    assert tone
    assert tone.value == "formal"


async def test_a_program_has_them_too_and_of_agents_that_write_at_once_none_is_misled(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_SECTIONS", "true")
    async with open_tools(await key_of(resources, "ana")) as tools:
        assert [tool["name"] for tool in await tools.tools_for("anthropic")] == ALL
        assert [tool["function"]["name"] for tool in await tools.tools_for("openai")] == ALL
        told = await asyncio.gather(
            *(tools.call("store_fact", json.dumps({"key": "order", "value": str(number)})) for number in range(12))
        )
        kept = (await tools.call("get_fact", {"key": "order"})).content
        again = await tools.call("get_fact", {"key": ""})
    refusals = {one.text for one in told if one.is_error}
    assert refusals <= {"It was changed meanwhile: read it, then decide again."}
    assert [one.content["outcome"] for one in told if one.content].count("created") == 1
    assert kept
    assert kept["values"][0]["value"] in {str(n) for n, one in enumerate(told) if not one.is_error}
    assert (again.is_error, again.text.split(":")[0]) == (True, "key")


async def test_no_value_and_no_key_is_in_logs_or_errors(
    start_api: StartApi, resources: Resources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_SECTIONS", "true")
    wrong: list[tuple[str, dict[str, object]]] = [
        ("store_fact", {"key": f"No key {CANARY}", "value": CANARY}),
        ("store_fact", {"key": CANARY, "value": CANARY * 1_000}),
        ("store_fact", {"key": CANARY, "value": f"{CANARY}\x00"}),
        ("set_preference", {"key": CANARY, "value": CANARY, "namespace": CANARY}),
        ("get_fact", {"key": f"{CANARY}\n"}),
        ("search_facts", {"query": CANARY, "limit": CANARY}),
    ]
    with caplog.at_level(logging.DEBUG, logger="services"):
        url = await start_api()
        async with by_http(url, await key_of(resources, "ana")) as client:
            await ask(client, "store_fact", key=CANARY, value=CANARY)
            for tool, arguments in wrong:
                assert CANARY not in await refused(client, tool, **arguments)
        async with by_http(url, await key_of(resources, company="acme")) as client:
            assert "bound to no person" in await refused(client, "get_fact", key=CANARY)
    assert CANARY not in caplog.text
