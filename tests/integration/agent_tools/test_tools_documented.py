"""The loops of docs/agent_tools.md answer, in OpenAI's format and in Anthropic's."""

import json
from types import SimpleNamespace
from typing import Any

from openai import AsyncOpenAI

from services.resources import Resources
from tests.support.main_job import SUMMARY_MODEL
from tests.support.mcp_clients import by_http, documented, key_of
from tests.support.openai_server import COMPLETIONS, OpenAIServer

SAVE = {"slug": "user_city", "content": "Ana lives in Lima.", "kind": None}
SEARCH = {"query": "Where does Ana live?", "kinds": None, "limit": 3}
CALLS = [("save_user_memory", SAVE), ("search_user_memory", SEARCH), ("search_user_memory", {"query": 7})]
ASKED = {"role": "user", "content": "Where do I live?"}


def examples() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for code in documented("python"):
        exec(code, names)  # noqa: S102  it is ours
    return names


def calls_in_turn(request: dict[str, Any]) -> str | dict[str, Any]:
    """Call each tool once, then say what the model was told last."""
    results = [one for one in request["messages"] if one["role"] == "tool"]
    if len(results) == len(CALLS):
        return str(results[-1]["content"])
    name, arguments = CALLS[len(results)]
    call = {"id": f"c{len(results)}", "type": "function"}
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{**call, "function": function}]}


async def test_the_openai_loop_answers(environment: None, resources: Resources, model: OpenAIServer) -> None:
    model.answer = calls_in_turn
    key = await key_of(resources, "ana")
    messages: list[dict[str, Any]] = [ASKED]
    async with AsyncOpenAI(base_url=f"{model.url}/v1", api_key="none") as client:
        said = await examples()["answer"](key, client, messages, SUMMARY_MODEL)
    assert said.startswith("query: Input should be a valid string.")
    saved, found, _wrong = (message["content"] for message in messages if message["role"] == "tool")
    assert json.loads(saved) == {"slug": "user_city", "outcome": "created"}
    assert [memory["text"] for memory in json.loads(found)["memories"]] == ["Ana lives in Lima."]
    assert all(len(request["tools"]) == 6 for request in model.asked(COMPLETIONS))


class Claude:
    """Stands in for Anthropic's client: calls each tool once, all of its blocks with the names of theirs."""

    def __init__(self) -> None:
        self.messages = self
        self.tools: list[dict[str, Any]] = []

    async def create(self, *, tools: list[dict[str, Any]], messages: list[dict[str, Any]], **_: Any) -> SimpleNamespace:
        self.tools = tools
        given = [block for message in messages[1::] if message["role"] == "user" for block in message["content"]]
        if given:
            assert [block["tool_use_id"] for block in given] == ["c0", "c1", "c2"]
            assert [block["is_error"] for block in given] == [False, False, True]
            return SimpleNamespace(content=[SimpleNamespace(type="text", text=given[1]["content"])])
        blocks = [
            SimpleNamespace(type="tool_use", id=f"c{number}", name=name, input=arguments)
            for number, (name, arguments) in enumerate(CALLS)
        ]
        return SimpleNamespace(content=[SimpleNamespace(type="text", text="I look it up."), *blocks])


async def test_the_anthropic_loop_answers(environment: None, resources: Resources) -> None:
    names, claude = examples(), Claude()
    async with names["open_tools"](await key_of(resources, "ana")) as tools:
        said = await names["answer_with_anthropic"](claude, tools, [ASKED], "claude")
    assert json.loads(said)["memories"][0]["text"] == "Ana lives in Lima."
    assert [tool["name"] for tool in claude.tools][:1] == ["search_user_memory"]


async def test_the_documented_headers_connect(api_url: str, resources: Resources) -> None:
    [_stdio, configured] = documented("json")
    server = json.loads(configured)["mcpServers"]["afterturn"]
    assert (server["url"].removeprefix("http://localhost:8080"), server["type"]) == ("/mcp", "http")
    scheme = server["headers"]["Authorization"].split()[0]
    key = await key_of(resources, "ana")
    async with by_http(api_url, key, Authorization=f"{scheme} {key}") as client:
        assert len((await client.list_tools()).tools) == 6
