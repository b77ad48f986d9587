import asyncio

import pytest

from services.http.probe import answers
from services.worker.health import polls
from services.worker.run import running_workers
from tests.support.openai_server import OpenAIServer, Status


async def test_a_worker_is_healthy_while_it_asks_for_work_on_each_queue(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await polls()
    monkeypatch.setenv("TASK_QUEUES", "memory,mem0")
    async with running_workers(), asyncio.timeout(60):
        while not await polls():
            await asyncio.sleep(0.1)
        monkeypatch.setenv("TASK_QUEUES", "memory,llm,mem0")
        assert not await polls()


async def test_without_temporal_no_worker_is_healthy(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert not await polls()


async def test_a_probe_tells_success_from_failure(model: OpenAIServer) -> None:
    url = f"{model.url}/v1/models"
    assert await probed(url)
    model.fault = Status(503, everywhere=True)
    assert not await probed(url)
    await model.down()
    assert not await probed(url)
    assert not answers("no address")


async def probed(url: str) -> bool:
    return await asyncio.to_thread(answers, url)
