"""`ReconcileMem0` proves that Mem0 and the brain agree, repairs them, and publishes how far they were apart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from activities.steps import Mem0Drift, ReconcileInput
from services import temporal
from services.domain.memories import owner_of
from services.resources import open_resources
from services.worker.run import serving
from services.worker.schedules import schedules
from tests.support.mem0_server import LIST, Mem0Server, Status
from tests.support.platform_store import held, said
from workflows.names import MEMORY_QUEUE, RECONCILE_MEM0_SCHEDULE
from workflows.reconcile_mem0 import ReconcileMem0

ANA = owner_of("user", "ana")


@asynccontextmanager
async def metered() -> AsyncIterator[tuple[Client, MetricBuffer]]:
    buffer = MetricBuffer(10_000)
    client = await temporal.connect(runtime=Runtime(telemetry=TelemetryConfig(metrics=buffer)))
    async with open_resources() as resources, serving(resources, client):
        yield client, buffer


async def reconcile(client: Client, input: ReconcileInput | dict[str, Any] | None = None) -> Mem0Drift:  # noqa: A002
    found: Mem0Drift = await client.execute_workflow(
        "ReconcileMem0", input or {}, id=RECONCILE_MEM0_SCHEDULE, task_queue=MEMORY_QUEUE, result_type=Mem0Drift
    )
    return found


@pytest.mark.usefixtures("by_hand_alone")
async def test_it_repairs_and_publishes_the_drift(mem0: Mem0Server) -> None:
    async with metered() as (client, buffer), open_resources() as resources:
        assert resources.memory_store is not None
        for slug in ("user_city", "user_name"):
            await resources.memory_store.save(ANA, said(slug, f"Ana's {slug}."))
        mem0.memories.by_id.popitem()
        found = await reconcile(client)
        assert (found.checked, found.missing_in_mem0, found.repaired) == (2, 1, 1)
        assert len(held(mem0, ANA)) == 2
        drift = {
            str(update.attributes["kind"]): update.value
            for update in buffer.retrieve_updates()
            if update.metric.name == "afterturn_mem0_drift"
        }
        assert drift == {"missing_in_mem0": 1, "missing_in_brain": 0, "texts_differ": 0, "duplicates": 0}
        again = await reconcile(client)
        assert (again.missing_in_mem0, again.repaired) == (0, 0)


async def test_an_outage_of_mem0_is_waited_for(mem0: Mem0Server) -> None:
    async with metered() as (client, _), open_resources() as resources:
        assert resources.memory_store is not None
        await resources.memory_store.save(ANA, said("user_city", "Ana lives in Lima."))
        refusals = [Status(401), Status(429, "1"), Status(503)]
        mem0.fault = lambda asked: refusals.pop() if asked.route == LIST and refusals else None
        assert (await reconcile(client)).checked == 1
        assert refusals == []


@pytest.mark.usefixtures("environment")
async def test_without_mem0_there_is_nothing_to_reconcile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEM0_BACKEND", "")
    async with metered() as (client, _):
        assert await reconcile(client) == Mem0Drift()


@pytest.mark.usefixtures("environment")
async def test_an_unknown_field_is_refused_at_once() -> None:
    async with metered() as (client, _):
        with pytest.raises(WorkflowFailureError):
            await reconcile(client, {"owner": "ana"})


def test_it_runs_every_hour() -> None:
    schedule = schedules()[RECONCILE_MEM0_SCHEDULE]
    [interval] = schedule.spec.intervals
    assert interval.every.total_seconds() == 3_600
    assert ReconcileMem0.__name__ == "ReconcileMem0"
