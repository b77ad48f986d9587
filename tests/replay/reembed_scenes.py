"""The ways out of a re-embedding."""

import asyncio
from typing import TYPE_CHECKING, cast

from afterturn_client.names import MEMORY_QUEUE

from services.mem0_store.open_source import OpenSourceStore
from services.postgres.vectors.models import EmbeddingModels
from tests.support.openai_server import Status
from tests.support.reembeds import World
from workflows.names import REEMBED, reembed_id
from workflows.pacing import RateInput

if TYPE_CHECKING:
    from tests.replay.record_histories import Scene

MESSAGES = 40


async def _start(scene: "Scene", model: str, **fields: object) -> str:
    """Let messages be there, and begin with a model that is known from now on."""
    await _say(scene, model, range(MESSAGES))
    scene.model.models.append(model)
    return await _begin(scene, model, **fields)


async def _say(scene: "Scene", room: str, numbers: range) -> None:
    store = cast("OpenSourceStore", scene.resources.memory_store)
    await World(scene.resources.database, scene.resources.model, store).say(numbers, f"room:{room}")


async def _begin(scene: "Scene", model: str, **fields: object) -> str:
    wanted = {"model": model, **fields}
    await scene.client.start_workflow(REEMBED, wanted, id=reembed_id(model), task_queue=MEMORY_QUEUE)
    return reembed_id(model)


async def _go_back(scene: "Scene", model: str) -> None:
    models = EmbeddingModels(scene.resources.database)
    if former := await models.former():
        await models.switch(former)
    await models.drop(model)


async def reembedded(scene: "Scene") -> None:
    """Something is left out by live work before the switch, so that it looks again; then the model is current."""
    workflow_id = await _start(scene, "new-model", max_per_second=10)
    handle = scene.client.get_workflow_handle(workflow_id)
    await asyncio.sleep(1)
    await handle.signal("pause")
    await asyncio.sleep(7)
    scene.model.refuses = lambda request: Status(503) if request.get("model") == "new-model" else None
    await _say(scene, "late", range(3))
    scene.model.refuses = None
    await handle.execute_update("set_rate", RateInput(max_per_second=None))
    await handle.signal("resume")
    await scene.completed(workflow_id)
    await scene.keep("reembed.paused_and_switched", workflow_id)
    await _begin(scene, "new-model")
    await scene.completed(workflow_id)
    await scene.keep("reembed.current_already", workflow_id)
    await _go_back(scene, "new-model")


async def reembed_cut_off(scene: "Scene") -> None:
    for way in ("cancelled", "terminated"):
        workflow_id = await _start(scene, f"model-{way}", max_per_second=5)
        handle = scene.client.get_workflow_handle(workflow_id)
        await asyncio.sleep(2)
        await (handle.cancel() if way == "cancelled" else handle.terminate())
        await scene.ended(workflow_id)
        await scene.keep(f"reembed.{way}", workflow_id)
        await asyncio.sleep(6)
        await _go_back(scene, f"model-{way}")


async def reembed_refused(scene: "Scene") -> None:
    for way, wanted in (("unknown_model", {"model": "nobodys-model"}), ("wrong_input", {"modle": "new-model"})):
        workflow_id = f"reembed-{way}"
        await scene.client.start_workflow(REEMBED, wanted, id=workflow_id, task_queue=MEMORY_QUEUE)
        await scene.ended(workflow_id)
        await scene.keep(f"reembed.{way}", workflow_id)


async def reembed_continued(scene: "Scene") -> None:
    """On a server that calls a history long after a dozen events."""
    workflow_id = await _start(scene, "long-model", max_per_second=3)
    first = await scene.run_id(workflow_id)
    await scene.completed(workflow_id)
    await scene.keep("reembed.continued", workflow_id, first)
    await scene.keep("reembed.finished_after_another_run", workflow_id)
    await _go_back(scene, "long-model")
