"""The pods of compose/kubernetes without a cluster: each with its own command, environment and probe."""

import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest

from services.cli.demo import SAMPLE_ROOM, read_chat
from services.embedded.temporal_cli import find_temporal_cli
from tests.support.compose_file import read_services
from tests.support.compose_images import Images
from tests.support.compose_run import ROOT, ComposeRun
from tests.support.go_programs import TEMPORAL_SERVER
from tests.support.kubernetes_manifests import FOLDER, rendered
from tests.support.kubernetes_pods import pods
from tests.support.main_job import EMBEDDING_MODEL, SUMMARY_MODEL
from tests.support.openai_server import OpenAIServer

PASSWORDS = ("POSTGRES_PASSWORD", "AFTERTURN_DB_PASSWORD", "TEMPORAL_DB_PASSWORD", "REDIS_PASSWORD")
FILLED = {name: name.lower().replace("_", "") for name in (*PASSWORDS, "LLM_PROXY_API_KEY")}
# What an overlay of one's own says: the addresses of these servers.
SETTINGS = {
    "TEMPORAL_ADDRESS": "temporal:7233",
    "LLM_PROXY_URL": "http://llm_proxy:8000",
    "SUMMARY_MODEL": SUMMARY_MODEL,
    "EMBEDDING_MODEL": EMBEDDING_MODEL,
    "LINGER_SECONDS": "1",
    "SHUTDOWN_SECONDS": "2",
}
SERVERS = ("postgres", "redis", "temporal_postgres", "temporal_schema", "temporal", "temporal_namespace")

pytestmark = pytest.mark.proof


@pytest.fixture
async def stack(folder: Path, model: OpenAIServer) -> ComposeRun:
    await asyncio.to_thread(TEMPORAL_SERVER.build)
    composed = read_services(ROOT / "compose" / "core.yml", {**FILLED, "TEMPORAL_SHARDS": "4"})
    worker = composed["worker"].environment
    secrets = {name: worker[name] for name in ("DATABASE_URL", "REDIS_URL", "LLM_PROXY_API_KEY")}
    # Written otherwise, for 127.0.0.1 is each pod's own.
    secrets["OPENAI_COMPATIBLE_URL"] = model.url.replace("127.0.0.1", "127.1")
    manifests = rendered(FOLDER / "overlays" / "versioned")
    services = {name: composed[name] for name in SERVERS} | pods(manifests, composed, SETTINGS, secrets)
    images = Images(folder, await find_temporal_cli(), Path(sys.executable))
    return ComposeRun(services, folder, images, {})


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_sample_is_digested_by_the_pods(stack: ComposeRun) -> None:
    async with stack.up():
        version = stack.services["worker"].environment["TEMPORAL_WORKER_BUILD_ID"]
        current = f"worker deployment set-current-version --deployment-name afterturn --build-id {version} --yes"
        done = await stack.run("temporal_namespace", "temporal", *current.split())
        assert done.code == 0, done.err
        made = await stack.run("memory_api", "afterturn", "keys", "create", "chat", "--scope", "admin", "--json")
        assert made.code == 0, made.err
        headers = {"Authorization": f"Bearer {json.loads(made.out)['key']}"}
        url = f"http://{stack.addresses['memory_api']}:8080/v1/rooms/{SAMPLE_ROOM}/"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=70, trust_env=False) as api:
            await digested(api)
            assert (await api.get("summary")).json()["parts"]
        looked = await stack.run("worker", "afterturn", "doctor", "--json")
        wrong = [check for check in json.loads(looked.out)["checks"] if check["state"] != "ok"]
        assert (looked.code, wrong) == (0, []), looked.err


async def digested(api: httpx.AsyncClient) -> None:
    messages = read_chat(None, None, "demo").messages
    body = {"messages": [message.model_dump(mode="json", exclude_none=True) for message in messages]}
    assert (await api.post("messages", json=body)).status_code == 202
    async with asyncio.timeout(200):
        state = ""
        while state != "digested":
            answer = await api.get(f"messages/{messages[-1].id}", params={"wait_for": "digested"})
            state = answer.json()["state"]
