"""A real Prometheus scrapes the running system, and whatever dashboard and alerts ask of it has an answer."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose_figures import NOT_AT_ONCE
from tests.support.monitored import Monitored, monitored

COMPOSE = Path(__file__).parents[3] / "compose"
# It counts what went wrong in Temporal; nothing may have.
FIRST_RUNS = {"afterturn_mem0_last_drift", "afterturn_schedule_last_run_seconds"}
WITHOUT_FAILURES = NOT_AT_ONCE - FIRST_RUNS | {"service_error_with_type"}
JOBS = {"memory_api", "llm_proxy", "worker", "temporal"}

pytestmark = pytest.mark.proof


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_whatever_dashboard_and_alerts_ask_has_an_answer(folder: Path) -> None:
    async with monitored(folder) as system:
        began = time.time()
        await system.talk(30)
        await until_all_are_scraped(system)
        for panel in json.loads((COMPOSE / "grafana" / "dashboards" / "afterturn.json").read_text())["panels"]:
            for target in panel["targets"]:
                found = await asked_for(system, target["expr"], began)
                may_lack = [name for name in WITHOUT_FAILURES if name in target["expr"]]
                assert found or may_lack, f"{panel['title']}: {target['expr']}"
        await the_alerts_are_judged(system)


async def until_all_are_scraped(system: Monitored) -> None:
    async with asyncio.timeout(60):
        while True:
            targets = (await system.asked("targets"))["activeTargets"]
            if {one["labels"]["job"] for one in targets if one["health"] == "up"} == JOBS:
                return
            await asyncio.sleep(0.2)


async def asked_for(system: Monitored, expression: str, began: float) -> list[Any]:
    """Ask as Grafana does, which puts an interval of a few scrapes where it says so."""
    query = expression.replace("$__rate_interval", "10s")
    found = await system.asked("query_range", query=query, start=began, end=time.time(), step="1")
    return [series for series in found["result"] if any(value != "NaN" for _, value in series["values"])]


async def the_alerts_are_judged(system: Monitored) -> None:
    async with asyncio.timeout(60):
        while not (groups := (await system.asked("rules"))["groups"]) or groups[0]["rules"][0]["health"] != "ok":
            await asyncio.sleep(0.2)
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert len(rules) == 12
    assert {rule["health"] for rule in rules.values()} == {"ok"}
    # Someone sent nonsense; nothing else is wrong.
    async with asyncio.timeout(90):
        while (await states(system)).get("Quarantine") != "pending":
            await asyncio.sleep(1)
    assert {name for name, state in (await states(system)).items() if state == "firing"} == set()


async def states(system: Monitored) -> dict[str, str]:
    groups = (await system.asked("rules"))["groups"]
    return {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}
