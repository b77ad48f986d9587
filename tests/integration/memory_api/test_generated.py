"""Generated requests find no 5xx and no answer outside the schema; `tests.benchmarks.api_cases` sends 10,000."""

import asyncio

import pytest

from services.resources import Resources
from tests.support.api_cases import Thrower
from tests.support.memory_api import MEM0_TOKEN, Caller, add_secrets


@pytest.fixture
def environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEM0_WEBHOOK_SECRET", MEM0_TOKEN)


async def test_no_answer_is_outside_the_schema(
    api_url: str, resources: Resources, service: Caller, worker: None
) -> None:
    places = await add_secrets(resources, service)
    await service.post("/v1/backfills", json={"of": "companies"})
    key = str(service.headers["Authorization"]).removeprefix("Bearer ")
    thrower = Thrower(api_url, key, 7, places)
    thrown = await asyncio.to_thread(thrower.throw, 150)
    assert thrown.failures == []
    assert thrown.cases >= 50
    # They got somewhere, to the last one.
    assert {status.rpartition(" ")[2] for status in thrown.statuses} >= {"200", "201", "204", "404", "422"}
    assert (await service.get("/v1/rooms")).status_code == 200
