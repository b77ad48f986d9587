"""The official MCP client lists and calls every tool, by HTTP and by standard streams."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from mcp import Client, MCPError

from services.agent_tools.memory_tools import MEMORY_TOOLS
from services.resources import Resources
from tests.support.mcp_clients import ask, by_http, by_standard_streams, key_of, refused
from tests.support.memory_api import Caller, StartApi, add_secrets, archived

NAMES = [tool.name for tool in MEMORY_TOOLS]
READING = ["search_user_memory", "search_company_memory", "get_context"]
Connect = Callable[[str], AbstractAsyncContextManager[Client]]
CANARY = "xylophone"
EACH = ("http", "standard streams")
# By HTTP it is a 401, of which the client says no more.
REVOKED = r"was revoked|returned an error response"


@pytest.fixture
def connect(request: pytest.FixtureRequest, api_url: str, tmp_path: Path) -> Connect:
    if request.param == "standard streams":
        return lambda key: by_standard_streams(tmp_path, key)
    return lambda key: by_http(api_url, key, mode="auto" if request.param == "http" else "legacy")


@pytest.mark.parametrize("connect", [*EACH, "http, as older clients do"], indirect=True)
async def test_every_tool_is_listed_and_called(connect: Connect, resources: Resources, api_url: str) -> None:
    await archived(resources, "user:boss", "My parrot is called Coco.", user_id="boss")
    async with connect(await key_of(resources, "boss", "acme")) as client:
        assert "Search before you ask" in (client.instructions or "")
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(listed) == NAMES
        for tool in MEMORY_TOOLS:
            hints = listed[tool.name].annotations
            assert hints
            assert (hints.read_only_hint, hints.idempotent_hint, hints.open_world_hint) == (
                tool.is_read_only,
                True,
                False,
            )
            assert hints.destructive_hint is not tool.is_read_only
            assert listed[tool.name].output_schema
        city = {"slug": "user_city", "content": "The boss lives in Lima."}
        assert (await ask(client, "save_user_memory", **city))["outcome"] == "created"
        assert (await ask(client, "save_user_memory", **city))["outcome"] == "unchanged"
        tax = {"slug": "company_tax", "content": "Acme pays taxes in March.", "kind": "procedural"}
        assert (await ask(client, "save_company_memory", **tax))["outcome"] == "created"
        [found] = (await ask(client, "search_user_memory", query="Where does the boss live?"))["memories"]
        assert (found["slug"], found["text"], found["made_by"]) == ("user_city", "The boss lives in Lima.", "caller")
        [found] = (await ask(client, "search_company_memory", query="taxes", kinds=["procedural"], limit=1))["memories"]
        assert found["slug"] == "company_tax"
        gathered = await ask(client, "get_context", query="parrot")
        assert gathered["room_id"] == "user:boss"
        assert "My parrot is called Coco." in gathered["markdown"]
        assert {source["slug"] for source in gathered["memories"]} == {"user_city", "company_tax"}
        assert (await ask(client, "delete_memory", about="user", slug="user_city"))["outcome"] == "ended"
        assert (await ask(client, "search_user_memory", query="Lima"))["memories"] == []
        assert await refused(client, "delete_memory", about="user", slug="user_city") == "There is no such memory."


@pytest.mark.parametrize("connect", EACH, indirect=True)
async def test_what_is_not_theirs_is_not_there(connect: Connect, resources: Resources, service: Caller) -> None:
    await add_secrets(resources, service)
    async with connect(await key_of(resources, "ben", "globex")) as client:
        for tool in ("search_user_memory", "search_company_memory"):
            assert (await ask(client, tool, query="secret"))["memories"] == []
        for room in ("user:ana", "room:acme", "room:nowhere"):
            assert await refused(client, "get_context", room_id=room) == "There is no such room."
        assert "secret" not in (await ask(client, "get_context", query="secret"))["markdown"]
        assert await refused(client, "delete_memory", about="user", slug="secret") == "There is no such memory."
        # ben belongs to globex, and does not speak for it.
        for tool, arguments in (
            ("save_company_memory", {"slug": "secret", "content": "It is out."}),
            ("delete_memory", {"about": "company", "slug": "secret"}),
        ):
            assert await refused(client, tool, **arguments) == "This credential does not speak for the company."
        assert (await ask(client, "save_user_memory", slug="secret", content="ben's own"))["outcome"] == "created"
    for owner in ("users/ana", "companies/acme"):
        assert (await service.get(f"/v1/{owner}/memories/secret")).json()["content"] == "the secret"


@pytest.mark.parametrize("connect", EACH, indirect=True)
async def test_a_key_opens_no_more_than_its_scopes_and_ends(
    connect: Connect, resources: Resources, service: Caller, api_url: str
) -> None:
    key = await key_of(resources, "ana", "acme", ("read",))
    async with connect(key) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == READING
        for tool, arguments in (
            ("save_user_memory", {"slug": "city", "content": "Ana lives in Lima."}),
            ("save_company_memory", {"slug": "city", "content": "Acme is in Lima."}),
            ("delete_memory", {"about": "user", "slug": "city"}),
        ):
            assert "lacks the scope" in await refused(client, tool, **arguments)
        assert (await ask(client, "search_user_memory", query="Lima"))["memories"] == []
        [ours] = [one for one in (await service.get("/v1/keys")).json()["keys"] if key.startswith(one["prefix"])]
        assert (await service.delete(f"/v1/keys/{ours['id']}")).status_code == 204
        with pytest.raises((MCPError, AssertionError), match=REVOKED):
            await ask(client, "search_user_memory", query="Lima")
        with pytest.raises(MCPError, match=REVOKED):
            await client.list_tools(cache_mode="bypass")
    assert (await posted(api_url, key, "tools/list")).status_code == 401


async def test_who_may_record_teaches_no_behaviour(api_url: str, resources: Resources) -> None:
    tone = {"slug": "tone", "content": "Answer briefly.", "kind": "procedural"}
    async with by_http(api_url, await key_of(resources, "boss", "acme")) as client:
        await ask(client, "save_user_memory", **tone)
    async with by_http(api_url, await key_of(resources, "boss", scopes=("ingest",))) as client:
        for slug, kind in (("new", "procedural"), ("tone", "semantic")):
            told = await refused(client, "save_user_memory", slug=slug, kind=kind, content="Obey.")
            assert told == "Procedural memories take a credential with the scope `write`."
        saved = await ask(client, "save_user_memory", slug="city", content="The boss lives in Lima.")
        assert saved["outcome"] == "created"


async def test_a_key_that_names_too_little_is_told_so(api_url: str, resources: Resources) -> None:
    """Nobody asked for a company or a person by name: that there is no such one would be a riddle."""
    person, company = "bound to no person", "bound to no company"
    async with by_http(api_url, await key_of(resources, company="acme")) as client:
        assert person in await refused(client, "search_user_memory", query="Lima")
        assert "takes a room" in await refused(client, "get_context")
    async with by_http(api_url, await key_of(resources)) as client:
        assert company in await refused(client, "search_company_memory", query="Lima")
    async with by_http(api_url, await key_of(resources, "nomad")) as client:
        assert company in await refused(client, "search_company_memory", query="Lima")
    async with by_http(api_url, await key_of(resources, "ana", "globex")) as client:
        assert "does not belong" in await refused(client, "search_company_memory", query="Lima")
        assert (await ask(client, "get_context"))["room_id"] == "user:ana"


async def posted(url: str, key: str | None, method: str, **headers: str) -> httpx.Response:
    """Send what an older client sends after its handshake, without the handshake."""
    sent = {"Accept": "application/json, text/event-stream", **headers}
    if key:
        sent["Authorization"] = f"Bearer {key}"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}
        return await http.post(f"{url}/mcp", json=body, headers=sent)


async def test_any_process_answers_any_request(api_url: str, resources: Resources) -> None:
    answer = await posted(api_url, await key_of(resources, "ana"), "tools/list")
    assert [tool["name"] for tool in answer.json()["result"]["tools"]] == NAMES
    assert "mcp-session-id" not in answer.headers


async def test_a_web_page_from_elsewhere_is_refused(start_api: StartApi, api_url: str, resources: Resources) -> None:
    key = await key_of(resources, "ana")
    named = await start_api(memory_api_mcp_origins="https://agent.example.org,https://b.example.org:8443")
    evil = ("https://example.org", "http://localhost.example.org", "null", "http://[", "https://agent.example.org.evil")
    for origin in evil:
        for url in (api_url, named):
            answer = await posted(url, key, "tools/list", Origin=origin)
            assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json"), origin
            assert origin not in answer.text
    for origin in ("http://localhost:6274", "http://127.0.0.1", "http://[::1]:8080"):
        assert (await posted(api_url, key, "tools/list", Origin=origin)).status_code == 200
    for origin in ("https://agent.example.org", "https://b.example.org:8443"):
        assert (await posted(named, key, "tools/list", Origin=origin)).status_code == 200
        assert (await posted(api_url, key, "tools/list", Origin=origin)).status_code == 403


async def test_a_browser_may_ask_for_the_pages_that_are_named(start_api: StartApi) -> None:
    url = await start_api(memory_api_mcp_origins="https://agent.example.org")
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=30) as http:
        for origin in ("https://agent.example.org", "http://localhost:6274"):
            answer = await http.options("/mcp", headers={"Origin": origin, **wanted})
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
        for origin in ("https://example.org", "http://localhost.example.org"):
            answer = await http.options("/mcp", headers={"Origin": origin, **wanted})
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_without_a_credential_nobody_is_let_in(start_api: StartApi, resources: Resources) -> None:
    open_one = await start_api()
    # Until a key is made whoever is on this machine may, but for web pages under a name of their own.
    assert (await posted(open_one, None, "tools/list")).status_code == 200
    assert (await posted(open_one, None, "tools/list", Host="rebound.example.org")).status_code == 401
    wrong = await key_of(resources, "ana") + "x"
    closed = await start_api()
    for key in (None, "nonsense", wrong):
        answer = await posted(closed, key, "tools/list")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="afterturn"')
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        assert (await http.get(f"{closed}/mcp")).status_code == 405


@pytest.mark.parametrize("connect", EACH, indirect=True)
async def test_no_content_is_in_logs_or_errors(
    connect: Connect, resources: Resources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: list[tuple[str, dict[str, object]]] = [
        ("save_user_memory", {"slug": f"No slug {CANARY}", "content": CANARY}),
        ("save_user_memory", {"slug": "a", "content": CANARY * 1_000}),
        ("save_user_memory", {"slug": "a", "content": CANARY, CANARY: CANARY}),
        ("save_user_memory", {"slug": "a", "content": CANARY, "kind": CANARY}),
        ("save_user_memory", {"slug": "a", "content": f"{CANARY}\x00"}),
        ("search_user_memory", {"query": CANARY, "limit": CANARY}),
        ("get_context", {"room_id": f"room:{CANARY}"}),
        ("get_context", {"room_id": CANARY}),
    ]
    with caplog.at_level(logging.DEBUG, logger="services"):
        async with connect(await key_of(resources, "ana")) as client:
            await ask(client, "save_user_memory", slug="instrument", content=f"Ana plays the {CANARY}.")
            for tool, arguments in wrong:
                assert CANARY not in await refused(client, tool, **arguments)
            with pytest.raises(MCPError) as failure:
                await client.call_tool(CANARY, {"slug": CANARY})
            assert CANARY not in str(failure.value)
    told = tmp_path / "standard_error"
    assert CANARY not in caplog.text + (told.read_text() if told.exists() else "")


async def test_a_server_that_keeps_no_memories_says_so(
    start_api: StartApi, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await key_of(resources, "ana")
    monkeypatch.setenv("MEM0_BACKEND", "")
    async with by_http(await start_api(), key) as client:
        told = await refused(client, "save_user_memory", slug="a", content="Ana lives in Lima.")
        assert told == "Memories are not kept here: nothing was saved."
        assert (await ask(client, "search_user_memory", query="Lima"))["memories"] == []
