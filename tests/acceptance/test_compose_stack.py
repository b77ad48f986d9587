"""The whole stack as `compose/core.yml` has it, without containers: every command, environment and health check."""

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from services.cli.demo import SAMPLE_ROOM, read_chat
from services.embedded.temporal_cli import find_temporal_cli
from tests.support.compose_figures import NOT_AT_ONCE, figures_read, figures_told
from tests.support.compose_file import read_services
from tests.support.compose_images import Images
from tests.support.compose_run import ROOT, ComposeRun
from tests.support.go_programs import TEMPORAL_SERVER
from tests.support.main_job import EMBEDDING_MODEL, SUMMARY_MODEL
from tests.support.openai_server import OpenAIServer

SECRETS = {
    name: f"{name.lower()}-of-this-test".replace("_", "")
    for name in (
        "POSTGRES_PASSWORD",
        "AFTERTURN_DB_PASSWORD",
        "TEMPORAL_DB_PASSWORD",
        "REDIS_PASSWORD",
        "LLM_PROXY_API_KEY",
    )
}
# People look at Temporal's UI; nothing here does. The model is a stand-in.
LEFT_OUT = ("temporal_ui", "ollama", "ollama_models")

pytestmark = pytest.mark.proof


@pytest.fixture
async def stack(folder: Path, model: OpenAIServer) -> ComposeRun:
    await asyncio.to_thread(TEMPORAL_SERVER.build)
    variables = {**SECRETS, "OLLAMA_URL_INTERNAL": "", "TEMPORAL_SHARDS": "4"}
    services = read_services(ROOT / "compose" / "core.yml", variables)
    env_file = {
        **SECRETS,
        "OPENAI_COMPATIBLE_URL": model.url,
        "SUMMARY_MODEL": SUMMARY_MODEL,
        "EMBEDDING_MODEL": EMBEDDING_MODEL,
        "LINGER_SECONDS": "1",
        "SHUTDOWN_SECONDS": "2",
    }
    # An environment made as the Dockerfile makes it can be tried instead of the checkout's.
    python = Path(os.environ.get("AFTERTURN_TEST_IMAGE_PYTHON") or sys.executable)
    images = Images(folder, await find_temporal_cli(), python)
    kept = {name: service for name, service in services.items() if name not in LEFT_OUT}
    return ComposeRun(kept, folder, images, env_file)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_sample_is_digested_by_the_stack_of_the_compose_file(stack: ComposeRun) -> None:
    async with stack.up():
        key = await a_key(stack)
        url = f"http://{stack.addresses['memory_api']}:8080"
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=70, trust_env=False) as api:
            last = await record_the_sample(api)
            await until_digested(api, last)
            summary = (await api.get(f"/v1/rooms/{SAMPLE_ROOM}/summary")).json()
        assert summary["parts"]
        await nothing_is_left_in_redis(stack)
        await dashboard_and_alerts_read_what_is_told(stack, key)
        await a_second_set_up_changes_nothing(stack)
        await the_doctor_finds_nothing(stack)


async def a_key(stack: ComposeRun) -> str:
    made = await stack.run("memory_api", "afterturn", "keys", "create", "chat", "--scope", "admin", "--json")
    assert made.code == 0, made.err
    key: str = json.loads(made.out)["key"]
    return key


async def record_the_sample(api: httpx.AsyncClient) -> str:
    """Return the path of the last message's receipt."""
    messages = read_chat(None, None, "demo").messages
    body = {"messages": [message.model_dump(mode="json", exclude_none=True) for message in messages]}
    answer = await api.post(f"/v1/rooms/{SAMPLE_ROOM}/messages", json=body)
    assert answer.status_code == 202, answer.text
    receipts = answer.json()["receipts"]
    assert len(receipts) == len(messages)
    return f"/v1/rooms/{SAMPLE_ROOM}/messages/{messages[-1].id}"


async def until_digested(api: httpx.AsyncClient, receipt: str) -> None:
    async with asyncio.timeout(200):
        while (await api.get(receipt, params={"wait_for": "digested"})).json()["state"] != "digested":
            pass


async def nothing_is_left_in_redis(stack: ComposeRun) -> None:
    url = f"redis://:{SECRETS['REDIS_PASSWORD']}@{stack.addresses['redis']}:6379/0"
    async with Redis.from_url(url) as redis:
        assert [key async for key in redis.scan_iter("*messages*")] == []


async def dashboard_and_alerts_read_what_is_told(stack: ComposeRun, key: str) -> None:
    keys = {
        "memory_api:8080": key,
        "llm_proxy:8000": SECRETS["LLM_PROXY_API_KEY"],
        "temporal:8001": "",
        "worker:9464": "",
    }
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        told = []
        for target, credential in keys.items():
            name, _, port = target.partition(":")
            url = f"http://{stack.addresses[name]}:{port}/metrics"
            answer = await http.get(url, headers={"Authorization": f"Bearer {credential}"} if credential else {})
            assert answer.status_code == 200, target
            told.append(answer.text)
    assert figures_read(ROOT / "compose") - figures_told(*told) <= NOT_AT_ONCE


async def a_second_set_up_changes_nothing(stack: ComposeRun) -> None:
    """`docker compose up` runs them again each time."""
    once = ("temporal_schema", "temporal_namespace", "migrate", "schedules")
    for again in await asyncio.gather(*(stack.run(name) for name in once)):
        assert again.code == 0, again.err


async def the_doctor_finds_nothing(stack: ComposeRun) -> None:
    looked = await stack.run("worker", "afterturn", "doctor", "--json")
    wrong = [check for check in json.loads(looked.out)["checks"] if check["state"] != "ok"]
    assert (looked.code, wrong) == (0, []), looked.err
