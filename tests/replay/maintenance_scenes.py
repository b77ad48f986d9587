"""The ways out of the workflows of maintenance."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from afterturn_client.names import MEMORY_QUEUE

from services.domain.memories import NewMemory, owner_of
from services.resources import Resources
from tests.support.memories_kept import run_sql
from tests.support.steps import Gates, Point, Watched

if TYPE_CHECKING:
    from tests.replay.record_histories import Scene

WORKFLOWS = {
    "clean_up_memory": "CleanUpMemory",
    "optimize_memory": "OptimizeMemory",
    "sync_memory": "SyncMemory",
    "analyze_memory": "AnalyzeMemory",
}
# Where each waits in the middle of a step; analysing asks nothing but Postgres.
HELD = {
    "clean_up_memory": Point("sections", "clean_up", "before"),
    "optimize_memory": Point("memories", "save", "before"),
    "sync_memory": Point("sections", "sync", "before"),
}


def holding_sections(resources: Resources, gates: Gates) -> Resources:
    watched: Any = Watched("sections", resources.sections, gates.action)
    return replace(resources, sections=watched)


async def maintained(scene: "Scene") -> None:
    for name, workflow in WORKFLOWS.items():
        workflow_id = await _begin(scene, workflow, f"{name}-by-hand")
        await scene.completed(workflow_id)
        await scene.keep(f"{name}.finished", workflow_id)


async def maintenance_refused(scene: "Scene") -> None:
    for name, workflow in WORKFLOWS.items():
        workflow_id = await _begin(scene, workflow, f"{name}-misspelt", {"evrything": True})
        await scene.ended(workflow_id)
        await scene.keep(f"{name}.wrong_input", workflow_id)


async def maintenance_cut_off(scene: "Scene") -> None:
    for way in ("cancelled", "terminated"):
        await _tell_twice(scene, way)
        for name, where in HELD.items():
            workflow_id = f"{name}-{way}"
            await scene.held_at(workflow_id, where)
            await _begin(scene, WORKFLOWS[name], workflow_id)
            await scene.reached(workflow_id)
            handle = scene.client.get_workflow_handle(workflow_id)
            await (handle.cancel() if way == "cancelled" else handle.terminate())
            await asyncio.sleep(1)
            scene.gates.open[workflow_id].set()
            await scene.ended(workflow_id)
            await scene.keep(f"{name}.{way}", workflow_id)


async def maintenance_continued(scene: "Scene") -> None:
    """There are owners for several pages, of whom only a write was begun."""
    await run_sql(
        scene.resources.database,
        "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug) "
        "select gen_random_uuid(), 'save', 'user', gen_random_uuid(), 'slug' from generate_series(1, 900)",
    )
    for name in HELD:
        workflow_id = await _begin(scene, WORKFLOWS[name], f"{name}-long")
        first = await scene.run_id(workflow_id)
        await scene.completed(workflow_id)
        await scene.keep(f"{name}.continued", workflow_id, first)
        await scene.keep(f"{name}.finished_after_another_run", workflow_id)


async def _begin(scene: "Scene", workflow: str, workflow_id: str, given: dict[str, object] | None = None) -> str:
    await scene.client.start_workflow(workflow, given or {}, id=workflow_id, task_queue=MEMORY_QUEUE)
    return workflow_id


async def _tell_twice(scene: "Scene", name: str) -> None:
    """Let there be something to merge."""
    memories = [
        NewMemory(slug, "The user likes tea", datetime(2026, 1, day, tzinfo=UTC), made_by="model")
        for day, slug in enumerate(("tea", "drink"), start=1)
    ]
    await scene.resources.memories.save(owner_of("user", name), memories)
