import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.llm_proxy.conftest import HASTY_SECONDS, StartProxy
from tests.integration.llm_proxy.upstream_files import entry, question, upstream_file
from tests.support.openai_server import (
    COMPLETIONS,
    EMBEDDINGS,
    Fault,
    Html,
    OpenAIServer,
    Reset,
    Slow,
    Status,
    StreamBreak,
)

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
async def gpu() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(models=["big", "bge-m3"], answer=lambda _: "from the gpu") as server:
        yield server


@pytest.fixture
async def cloud() -> AsyncIterator[OpenAIServer]:
    models = ["small", "BAAI/bge-m3", "other-embedding"]
    async with OpenAIServer(models=models, answer=lambda _: "from the cloud") as server:
        yield server


@pytest.fixture
def circuit_seconds() -> float:
    """So long that an open circuit is not taken for one that is to be tried."""
    return 60.0


@pytest.fixture
async def http(
    gpu: OpenAIServer,
    cloud: OpenAIServer,
    start_proxy: StartProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    time_limit: float,
    circuit_seconds: float,
) -> AsyncIterator[httpx.AsyncClient]:
    """`big` of the gpu falls back on `small` in the cloud; `bge-m3` is in both places."""
    monkeypatch.setenv("CLOUD_KEY", "cloud-key")
    path = upstream_file(
        tmp_path,
        entry("gpu", gpu),
        entry("cloud", cloud, api_key_env="CLOUD_KEY", models=[
            {"name": "small", "aliases": ["summary"]},
            {"name": "BAAI/bge-m3", "aliases": ["bge-m3"]},
            {"name": "other-embedding"},
        ]),
        fallbacks={"big": ["summary"], "bge-m3": ["other-embedding", {"model": "bge-m3", "upstream": "cloud"}]},
    )  # fmt: skip
    url = await start_proxy(
        llm_proxy_upstreams=path,
        completion_timeout=time_limit,
        embedding_timeout=time_limit,
        summary_model="big",
        embedding_model="bge-m3",
        llm_proxy_circuit_failures=3,
        llm_proxy_circuit_seconds=circuit_seconds,
    )
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        yield client


async def ask(http: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await http.post("/v1/chat/completions", json=question("Where?", **{"model": "big", **more}))


def said(answer: httpx.Response) -> str:
    if not answer.headers["Content-Type"].startswith("text/event-stream"):
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text
    chunks = [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\n\n")[:-2]]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.get("choices", []))


async def test_each_model_has_its_place_its_name_and_its_key(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer
) -> None:
    assert said(await ask(http)) == "from the gpu"
    assert said(await ask(http, model="summary")) == "from the cloud"
    assert [body["model"] for body in cloud.asked(COMPLETIONS)] == ["small"]
    assert "authorization" not in gpu.headers[-1]
    assert cloud.headers[-1]["authorization"] == "Bearer cloud-key"
    models = [card["id"] for card in (await http.get("/v1/models")).json()["data"]]
    assert sorted(models) == ["BAAI/bge-m3", "bge-m3", "big", "other-embedding", "small", "summary"]


@BOTH
@pytest.mark.parametrize(
    ("fault", "time_limit"),
    [(Slow(60), HASTY_SECONDS)]
    + [(one, 60.0) for one in (Status(429, retry_after="7"), Status(500), Status(503), Status(529), Html(), Reset())],
    ids=repr,
)
async def test_an_outage_is_fallen_back_from(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer, fault: Fault, *, stream: bool
) -> None:
    gpu.fault = fault
    answer = await ask(http, stream=stream)
    assert (answer.status_code, said(answer)) == (200, "from the cloud")
    assert cloud.asked(COMPLETIONS)[0]["messages"] == question("Where?")["messages"]
    gpu.fault = None
    assert said(await ask(http, stream=stream)) == "from the gpu"


@BOTH
async def test_an_upstream_that_is_gone_is_fallen_back_from(
    http: httpx.AsyncClient, gpu: OpenAIServer, *, stream: bool
) -> None:
    await gpu.down()
    assert said(await ask(http, stream=stream)) == "from the cloud"


@BOTH
@pytest.mark.parametrize("status", [400, 401, 404, 413, 422])
async def test_what_the_request_is_to_blame_for_is_not(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer, status: int, *, stream: bool
) -> None:
    gpu.fault = Status(status)
    assert (await ask(http, stream=stream)).status_code == status
    assert cloud.calls[COMPLETIONS] == 0


@BOTH
async def test_where_all_fail_the_first_failure_is_the_answer(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer, *, stream: bool
) -> None:
    gpu.fault, cloud.fault = Status(503, retry_after="7"), Status(400)
    answer = await ask(http, stream=stream)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert cloud.calls[COMPLETIONS] == 1


@pytest.mark.parametrize(
    ("how", "time_limit"),
    [("reset", 60.0), ("end", 60.0), ("stall", HASTY_SECONDS), ("error", 60.0), ("garbage", 60.0)],
)
async def test_there_is_no_way_back_once_a_stream_has_begun(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer, how: str
) -> None:
    gpu.fault = StreamBreak(how, after=2)
    answer = await ask(http, stream=True)
    assert answer.status_code == 200
    assert "from" in answer.text
    assert "error" in json.loads(answer.text.split("\n\n")[-2].removeprefix("data: "))
    assert cloud.calls[COMPLETIONS] == 0


async def test_embeddings_fall_back_on_the_same_model_only(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer
) -> None:
    gpu.fault = Status(503)
    answer = await http.post("/v1/embeddings", json={"model": "bge-m3", "input": "text"})
    assert answer.status_code == 200
    assert [body["model"] for body in cloud.asked(EMBEDDINGS)] == ["BAAI/bge-m3"]
    cloud.fault = Status(503)
    assert (await http.post("/v1/embeddings", json={"model": "bge-m3", "input": "text"})).status_code == 503
    assert "other-embedding" not in [body["model"] for body in cloud.asked(EMBEDDINGS)]


async def test_an_open_circuit_spares_the_upstream(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer
) -> None:
    gpu.fault = cloud.fault = Status(503, retry_after="7")
    for _ in range(3):
        assert (await ask(http)).headers["Retry-After"] == "7"
    assert (await circuits(http)) == {"gpu": "open", "cloud": "open"}
    for stream in (False, True):
        refused = await ask(http, stream=stream)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "circuit_open")
        assert 30 < int(refused.headers["Retry-After"]) <= 60, "the circuit's own"
    assert (gpu.calls[COMPLETIONS], cloud.calls[COMPLETIONS]) == (3, 3)
    assert (await http.get("/ready")).status_code == 503


@pytest.mark.parametrize("circuit_seconds", [0.5])
async def test_one_request_finds_an_upstream_back(
    http: httpx.AsyncClient, gpu: OpenAIServer, cloud: OpenAIServer
) -> None:
    gpu.fault = cloud.fault = Status(503)
    for _ in range(3):
        assert (await ask(http)).status_code == 503
    cloud.fault = None
    while (await circuits(http))["cloud"] == "open":
        await asyncio.sleep(0.02)
    assert (await http.get("/ready")).json()["models"]["summary"]["ready"], "somebody has to try"
    # The gpu is tried once more, and found out of order.
    assert said(await ask(http)) == "from the cloud"
    assert gpu.calls[COMPLETIONS] == 4
    state = await circuits(http)
    assert (state["gpu"] != "closed", state["cloud"]) == (True, "closed")

    gpu.fault = None
    while (await circuits(http))["gpu"] == "open":
        await asyncio.sleep(0.02)
    assert said(await ask(http)) == "from the gpu"
    assert (await circuits(http)) == {"gpu": "closed", "cloud": "closed"}


async def circuits(http: httpx.AsyncClient) -> dict[str, str]:
    upstreams = (await http.get("/ready")).json()["upstreams"]
    return {name: state["circuit"] for name, state in upstreams.items()}


async def test_only_one_request_tries_an_upstream_that_was_out(
    gpu: OpenAIServer, cloud: OpenAIServer, start_proxy: StartProxy, tmp_path: Path
) -> None:
    path = upstream_file(tmp_path, entry("gpu", gpu), entry("cloud", cloud), fallbacks={"big": ["small"]})
    url = await start_proxy(
        llm_proxy_upstreams=path,
        completion_timeout=600,
        llm_proxy_circuit_failures=1,
        llm_proxy_circuit_seconds=0.1,
    )
    tried = asyncio.Event()

    async def when_told(_: object) -> str:
        await tried.wait()
        return "from the gpu"

    gpu.answer, gpu.fault = when_told, Status(503)
    async with httpx.AsyncClient(base_url=url, timeout=600, trust_env=False) as http:
        assert said(await ask(http)) == "from the cloud"
        gpu.fault = None
        while (await circuits(http))["gpu"] == "open":
            await asyncio.sleep(0.02)
        asked = [asyncio.create_task(ask(http)) for _ in range(20)]
        while sum(one.done() for one in asked) < 19:
            await asyncio.sleep(0.02)
        tried.set()
        answers = sorted([said(await one) for one in asked])
    assert answers == ["from the cloud"] * 19 + ["from the gpu"]
    assert gpu.calls[COMPLETIONS] == 2


async def test_the_metrics_show_failures_and_circuits(http: httpx.AsyncClient, gpu: OpenAIServer) -> None:
    gpu.fault = Status(503)
    for _ in range(3):
        await ask(http)
    text = (await http.get("/metrics")).text
    assert 'llm_proxy_upstream_failures_total{reason="503",upstream="gpu"} 3.0' in text
    assert 'llm_proxy_circuit{state="open",upstream="gpu"} 1.0' in text
    assert 'llm_proxy_circuit{state="closed",upstream="cloud"} 1.0' in text
