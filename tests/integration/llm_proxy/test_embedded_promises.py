"""The embedded models as an upstream: lazy, held to schemas, honest about tokens, plain about what they cannot do."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from services.domain.errors import InvalidInputError
from services.llm_proxy.http_client import http_client, openai_base
from services.llm_proxy.upstreams.chat_server import smollm2_file
from services.llm_proxy.upstreams.embedded_chat import EmbeddedChat, LoadedChat, open_embedded_chat
from services.llm_proxy.upstreams.first_use import FirstUse
from services.llm_proxy.upstreams.openai import OpenAIUpstream
from services.llm_proxy.wire import ChatRequest
from tests.integration.llm_proxy.conftest import WORKING, WORKING_SECONDS, running_proxy
from tests.support.llama_server import running_llama

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[3]
STOPPED_AT_ONCE = """
from services.llm_proxy.upstreams import chat_server
for _ in range(5):
    chat_server._start(None, "key")
"""
CHAT, E5 = "smollm2-135m-instruct", "multilingual-e5-small"
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TEAM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 8},
        "people": {
            "type": "array",
            "minItems": 2,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "role": {"enum": ["lead", "member"]},
                    "age": {"type": "integer", "minimum": 18, "maximum": 99},
                    "tags": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/tag"}},
                },
                "required": ["role", "age", "tags"],
                "additionalProperties": False,
            },
        },
        "kind": {"const": "team"},
        "boss": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    },
    "required": ["name", "people", "kind", "boss"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string", "minLength": 1, "maxLength": 5}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with running_proxy(embedded_models=True, summary_model=CHAT, embedding_model=E5, **WORKING) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="module")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=WORKING_SECONDS, trust_env=False) as client:
        yield client


def chat(content: Any, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": CHAT, "messages": messages, "max_tokens": 8, "temperature": 0, **more}


def listening() -> int:
    """How many ports this process listens on: the language model's server is one of them."""
    connections = psutil.Process().net_connections(kind="tcp")
    return sum(connection.status == psutil.CONN_LISTEN for connection in connections)


async def test_the_language_model_is_loaded_once_and_only_when_asked() -> None:
    async with running_proxy(embedded_models=True, summary_model=CHAT, embedding_model=E5, **WORKING) as url:
        before = listening()
        async with httpx.AsyncClient(base_url=url, timeout=WORKING_SECONDS, trust_env=False) as http:
            assert CHAT in [card["id"] for card in (await http.get("/v1/models")).json()["data"]]
            assert (await http.get("/ready")).status_code == 200
            assert (await http.post("/v1/embeddings", json={"model": E5, "input": "text"})).is_success
            assert listening() == before
            asking = [asyncio.create_task(http.post("/v1/chat/completions", json=chat("Hi"))) for _ in range(4)]
            assert (await http.get("/health")).is_success
            assert not any(task.done() for task in asking), "it is loaded beside the loop, not on it"
            assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 4
            assert listening() == before + 1


async def test_a_proxy_that_stops_while_it_loads_stops_cleanly() -> None:
    before = listening()
    async with open_embedded_chat(None, completion_timeout=WORKING_SECONDS) as embedded:
        asking = asyncio.create_task(embedded.complete(ChatRequest.model_validate(chat("Hi"))))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert listening() == before


async def test_a_server_that_is_stopped_as_soon_as_it_is_there_ends() -> None:
    """In a process of its own: llama.cpp would wait for ever, and hold Python's lock meanwhile."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STOPPED_AT_ONCE, cwd=ROOT)
    try:
        assert await asyncio.wait_for(process.wait(), WORKING_SECONDS) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_file_that_is_no_model_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(InvalidInputError, match="EMBEDDED_GGUF"):
        async with open_embedded_chat(tmp_path / "broken.gguf", completion_timeout=60):
            pass


async def test_a_model_that_cannot_be_loaded_is_an_outage_of_its_own(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    await asyncio.to_thread(shutil.copy, smollm2_file(), cut)
    with cut.open("r+b") as file:
        file.truncate(1_000_000)
    async with (
        running_proxy(
            embedded_models=True, embedded_gguf=cut, summary_model="cut", embedding_model=E5, **WORKING
        ) as url,
        httpx.AsyncClient(base_url=url, timeout=WORKING_SECONDS, trust_env=False) as http,
    ):
        refused = await http.post("/v1/chat/completions", json={**chat("Hi"), "model": "cut"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_load_failed")
        assert (await http.post("/v1/embeddings", json={"model": E5, "input": "text"})).is_success


@pytest.mark.parametrize("seed", range(3))
async def test_a_nested_schema_is_held_whatever_the_model_would_say(http: httpx.AsyncClient, seed: int) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "team", "schema": TEAM, "strict": True}}
    # Hot enough for nonsense: what holds is the grammar.
    asked = chat("Sing!", response_format=form, temperature=1.8, seed=seed, max_tokens=600)
    choice = (await http.post("/v1/chat/completions", json=asked)).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    team = json.loads(choice["message"]["content"])
    assert team.keys() == {"name", "people", "kind", "boss"}
    assert 1 <= len(team["name"]) <= 8
    assert 2 <= len(team["people"]) <= 3
    assert team["kind"] == "team"
    assert team["boss"] in (None, True, False)
    for person in team["people"]:
        assert person.keys() == {"role", "age", "tags"}
        assert person["role"] in ("lead", "member")
        assert 18 <= person["age"] <= 99
        assert isinstance(person["age"], int)
        assert len(person["tags"]) <= 2
        assert all(1 <= len(tag) <= 5 for tag in person["tags"])


async def test_a_schema_that_is_none_is_refused(http: httpx.AsyncClient) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nonsense"}}}
    for stream in (False, True):
        answer = await http.post("/v1/chat/completions", json=chat("Hi", response_format=form, stream=stream))
        assert answer.status_code == 400


async def test_usage_counts_the_tokens_that_were_made(http: httpx.AsyncClient) -> None:
    asked = chat("Count to five.", logprobs=True, max_tokens=12)
    answer = (await http.post("/v1/chat/completions", json=asked)).json()
    made = len(answer["choices"][0]["logprobs"]["content"])
    assert answer["usage"]["completion_tokens"] == made == 12
    longer = (await http.post("/v1/chat/completions", json=chat("Count to five. Now!"))).json()
    assert longer["usage"]["prompt_tokens"] > answer["usage"]["prompt_tokens"]
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 12


async def test_a_stream_tells_its_usage_only_when_asked(http: httpx.AsyncClient) -> None:
    whole = (await http.post("/v1/chat/completions", json=chat("Hi"))).json()
    for asks in (True, False):
        options = {"stream_options": {"include_usage": True}} if asks else {}
        events = (await http.post("/v1/chat/completions", json=chat("Hi", stream=True, **options))).text.split("\n\n")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        assert [usage["total_tokens"] for usage in told] == ([whole["usage"]["total_tokens"]] if asks else [])


async def test_an_input_that_is_too_long_is_a_clean_refusal_by_every_way(url: str, http: httpx.AsyncClient) -> None:
    asked = chat("word " * 6000)
    for stream in (False, True):
        answer = await http.post("/v1/chat/completions", json={**asked, "stream": stream})
        assert answer.status_code == 400
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    async with connect(f"{url.replace('http://', 'ws://')}/v1/chat/completions", proxy=None) as socket:
        await socket.send(json.dumps(asked))
        assert json.loads(await socket.recv())["status"] == 400
        await socket.send(json.dumps(chat("Hi")))
        assert "choices" in json.loads(await socket.recv())


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [LOOK]}, "tools"),
        ({"tools": [LOOK], "tool_choice": "required"}, "tools"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, IMAGE]}]}, "messages[0].content"),
    ],
)
async def test_what_it_cannot_do_is_refused_and_not_left_out(
    http: httpx.AsyncClient, more: dict[str, Any], param: str
) -> None:
    for stream in (False, True):
        answer = await http.post("/v1/chat/completions", json=chat("Hi", stream=stream, **more))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_what_asks_nothing_special_of_it_is_answered(http: httpx.AsyncClient) -> None:
    harmless: list[dict[str, Any]] = [{"n": 1}, {"tools": []}, {"tools": [LOOK], "tool_choice": "none"}]
    for more in harmless:
        assert (await http.post("/v1/chat/completions", json=chat("Hi", **more))).is_success
    parts = await http.post("/v1/chat/completions", json=chat([{"type": "text", "text": "Hi"}]))
    plain = await http.post("/v1/chat/completions", json=chat("Hi"))
    assert parts.json()["choices"] == plain.json()["choices"]
    assert (await http.post("/v1/embeddings", json={"model": CHAT, "input": "text"})).status_code == 400


async def test_chats_at_once_are_each_answered_as_alone(http: httpx.AsyncClient) -> None:
    questions = ["Name a colour.", "Name a city.", "Name an animal.", "Name a fruit.", "Name a river."]

    async def say(question: str) -> str:
        return str((await http.post("/v1/chat/completions", json=chat(question))).json()["choices"][0]["message"])

    alone = [await say(question) for question in questions]
    assert await asyncio.gather(*(say(question) for question in questions)) == alone


async def test_a_caller_who_goes_frees_the_model() -> None:
    async with running_llama("m", "key") as server, http_client(openai_base(server), api_key="key") as client:
        upstream = OpenAIUpstream("m", client, **WORKING)

        async def load() -> LoadedChat:
            return LoadedChat(upstream, calls_tools=False)

        async def counted(name: str) -> float:
            lines = (await client.get(f"{server}/metrics")).text.splitlines()
            return next(float(line.split()[1]) for line in lines if line.startswith(f"llamacpp:{name} "))

        embedded = EmbeddedChat(FirstUse(load), "m", completion_timeout=WORKING_SECONDS)
        asked = ChatRequest.model_validate(
            chat("Tell me a long story about the sea.", max_tokens=1800, ignore_eos=True)
        )
        asking = asyncio.create_task(embedded.complete(asked))
        async with asyncio.timeout(WORKING_SECONDS):
            while not await counted("requests_processing"):
                await asyncio.sleep(0.01)
            asking.cancel()
            while await counted("requests_processing"):
                await asyncio.sleep(0.01)
        assert await counted("tokens_predicted_total") < 1600
