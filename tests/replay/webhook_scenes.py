"""The ways out of a delivery, and of a look at a memory that Mem0 hinted at."""

import asyncio
from typing import TYPE_CHECKING

from activities.waking_webhooks import DELIVER_WEBHOOKS, deliver_webhooks_id
from services.postgres.api.webhooks import Webhooks
from tests.support.steps import Point
from tests.support.webhook_events import add_webhook, digest
from tests.support.webhook_receiver import Answer, WebhookReceiver
from workflows.names import MEMORY_QUEUE, RECONCILE_MEMORY, reconcile_memory_id

if TYPE_CHECKING:
    from tests.replay.record_histories import Scene


async def _start(scene: "Scene", receiver: WebhookReceiver, name: str, count: int = 1) -> str:
    """Let messages be digested of which an endpoint is told."""
    database = scene.resources.database
    for other in await Webhooks(database).page():
        await Webhooks(database).remove(other.id)
    webhook = await add_webhook(database, url=receiver.url)
    await digest(database, f"room:{name}", *(f"m{number}" for number in range(count)))
    workflow_id = deliver_webhooks_id(webhook.id)
    await scene.client.start_workflow(
        DELIVER_WEBHOOKS, {"webhook_id": str(webhook.id)}, id=workflow_id, task_queue=MEMORY_QUEUE
    )
    return workflow_id


async def delivered(scene: "Scene") -> None:
    async with WebhookReceiver() as receiver:
        answers = [Answer(503), Answer(500)]
        receiver.answer = lambda _: answers.pop() if answers else Answer()
        workflow_id = await _start(scene, receiver, "told", 3)
        await scene.completed(workflow_id)
        await scene.keep("deliver_webhooks.delivered_after_an_outage", workflow_id)
        gone = "00000000-0000-0000-0000-000000000000"
        await scene.client.start_workflow(
            DELIVER_WEBHOOKS, {"webhook_id": gone}, id=f"deliver-webhooks:{gone}", task_queue=MEMORY_QUEUE
        )
        await scene.completed(f"deliver-webhooks:{gone}")
        await scene.keep("deliver_webhooks.removed", f"deliver-webhooks:{gone}")


async def delivery_cut_off(scene: "Scene") -> None:
    async with WebhookReceiver() as receiver:
        receiver.answer = lambda _: Answer(503)
        for way in ("cancelled", "terminated"):
            receiver.asked.clear()
            workflow_id = await _start(scene, receiver, way)
            await receiver.was_asked(2)
            handle = scene.client.get_workflow_handle(workflow_id)
            await (handle.cancel() if way == "cancelled" else handle.terminate())
            await scene.ended(workflow_id)
            await scene.keep(f"deliver_webhooks.{way}", workflow_id)


async def delivery_refused(scene: "Scene") -> None:
    await scene.client.start_workflow(DELIVER_WEBHOOKS, {"webhook": 1}, id="deliver-wrong", task_queue=MEMORY_QUEUE)
    await scene.ended("deliver-wrong")
    await scene.keep("deliver_webhooks.wrong_input", "deliver-wrong")


async def delivery_continued(scene: "Scene") -> None:
    """An endpoint takes its time, for longer than some steps go on."""
    async with WebhookReceiver() as receiver:
        receiver.answer = lambda _: Answer(seconds=5)
        workflow_id = await _start(scene, receiver, "slow", 14)
        first = await scene.run_id(workflow_id)
        await scene.completed(workflow_id)
        await scene.keep("deliver_webhooks.continued", workflow_id, first)
        await scene.keep("deliver_webhooks.finished_after_another_run", workflow_id)


async def _hint(scene: "Scene", memory_id: str) -> str:
    workflow_id = reconcile_memory_id(memory_id)
    await scene.client.start_workflow(
        RECONCILE_MEMORY, {"memory_id": memory_id}, id=workflow_id, task_queue=MEMORY_QUEUE, start_signal="hinted"
    )
    return workflow_id


async def _held(scene: "Scene", memory_id: str) -> str:
    await scene.held_at(reconcile_memory_id(memory_id), Point("memory_store", "reconcile_one", "before"))
    workflow_id = await _hint(scene, memory_id)
    await scene.reached(workflow_id)
    return workflow_id


async def hints_taken(scene: "Scene") -> None:
    for _ in range(3):
        workflow_id = await _hint(scene, "once")
    await scene.completed(workflow_id)
    await scene.keep("reconcile_memory.looked_at", workflow_id)
    workflow_id = await _held(scene, "meanwhile")
    await _hint(scene, "meanwhile")
    scene.gates.open[workflow_id].set()
    await scene.completed(workflow_id)
    await scene.keep("reconcile_memory.hinted_meanwhile", workflow_id)


async def hints_cut_off(scene: "Scene") -> None:
    for way in ("cancelled", "terminated"):
        workflow_id = await _held(scene, way)
        handle = scene.client.get_workflow_handle(workflow_id)
        await (handle.cancel() if way == "cancelled" else handle.terminate())
        await asyncio.sleep(1)
        scene.gates.open[workflow_id].set()
        await scene.ended(workflow_id)
        await scene.keep(f"reconcile_memory.{way}", workflow_id)
    workflow_id = await _hint(scene, "wait")
    await asyncio.sleep(0.5)
    await scene.client.get_workflow_handle(workflow_id).cancel()
    await scene.ended(workflow_id)
    await scene.keep("reconcile_memory.cancelled_in_wait", workflow_id)


async def hints_refused(scene: "Scene") -> None:
    wrong = {"memory_id": "a/../b"}
    await scene.client.start_workflow(RECONCILE_MEMORY, wrong, id="hint-wrong", task_queue=MEMORY_QUEUE)
    await scene.ended("hint-wrong")
    await scene.keep("reconcile_memory.wrong_input", "hint-wrong")


async def hints_continued(scene: "Scene") -> None:
    workflow_id = await _held(scene, "long")
    first = await scene.run_id(workflow_id)
    for _ in range(12):
        await _hint(scene, "long")
    scene.gates.open[workflow_id].set()
    await scene.completed(workflow_id)
    await scene.keep("reconcile_memory.continued", workflow_id, first)
    await scene.keep("reconcile_memory.finished_after_another_run", workflow_id)
