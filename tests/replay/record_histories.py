"""Records one history for each way out of a workflow: `python -m tests.replay.record_histories [SCENE...]`.

Run it after a workflow was changed on purpose, look at what changed, and keep the old files as long as such runs may
still be open somewhere: `test_replay.py` replays every file.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import MEMORY_QUEUE, PROCESS_ROOMS, ROOM_DIGEST, ROOM_MEMORY, room_digest_id, room_memory_id
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from activities.steps import NoInput, RoomInput
from services import temporal
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from services.resources import Resources, open_resources
from services.worker.run import serving
from tests.replay.maintenance_scenes import (
    holding_sections,
    maintained,
    maintenance_continued,
    maintenance_cut_off,
    maintenance_refused,
)
from tests.replay.reembed_scenes import reembed_continued, reembed_cut_off, reembed_refused, reembedded
from tests.replay.webhook_scenes import (
    delivered,
    delivery_continued,
    delivery_cut_off,
    delivery_refused,
    hints_continued,
    hints_cut_off,
    hints_refused,
    hints_taken,
)
from tests.support.exports import write_lines
from tests.support.loads import add, owner_id
from tests.support.main_job import settings_of
from tests.support.mem0_server import API_KEY, Mem0Server
from tests.support.openai_server import OpenAIServer, Status
from tests.support.reconciling_pages import reconciling_pages
from tests.support.rooms import until_digested
from tests.support.servers import SmallHistories, short_folder
from tests.support.steps import Gates, Point, watch
from workflows.names import (
    FORGET_OWNER,
    IMPORT_HISTORY,
    LOAD_ALL_COMPANIES_MEMORIES,
    LOAD_ALL_USERS_MEMORIES,
    LOAD_COMPANY_MEMORIES,
    LOAD_USER_MEMORIES,
    forget_owner_id,
    import_history_id,
    load_all_memories_id,
    load_memories_id,
)
from workflows.pacing import RateInput

HISTORIES = Path(__file__).parent / "histories"


@dataclass(frozen=True)
class Scene:
    client: Client
    resources: Resources
    memory: MemoryClient
    model: OpenAIServer
    gates: Gates
    redis: RedisServer
    imports: Path

    async def turn(self, room: str, text: str = "asks") -> None:
        await self.memory.record_turn(room, user=text, assistant="hears", user_id="42")

    async def held_at(self, workflow_id: str, where: Point) -> None:
        self.gates.hold(workflow_id, where)

    async def reached(self, workflow_id: str) -> None:
        await asyncio.wait_for(self.gates.reached[workflow_id].wait(), 60)

    async def start_import(self, name: str, numbers: Sequence[int], **fields: object) -> str:
        write_lines(self.imports / f"{name}.jsonl", numbers)
        workflow_id = import_history_id(name)
        wanted = {"source": f"{name}.jsonl", "user_id": name, **fields}
        await self.client.start_workflow(IMPORT_HISTORY, wanted, id=workflow_id, task_queue=MEMORY_QUEUE)
        return workflow_id

    async def start_forgetting(self, owner_id: str, **fields: object) -> None:
        workflow_id = forget_owner_id("user", owner_id)
        wanted = {"owner_type": "user", "owner_id": owner_id, **fields}
        await self.client.start_workflow(FORGET_OWNER, wanted, id=workflow_id, task_queue=MEMORY_QUEUE)

    async def start_reconciling(self, workflow_id: str, given: dict[str, object] | None = None) -> str:
        await self.client.start_workflow("ReconcileMem0", given or {}, id=workflow_id, task_queue=MEMORY_QUEUE)
        return workflow_id

    async def start_load(self, kind: str, workflow_id: str, given: dict[str, object] | None = None) -> str:
        await self.client.start_workflow(kind, given or {}, id=workflow_id, task_queue=MEMORY_QUEUE)
        return workflow_id

    async def ended(self, workflow_id: str) -> None:
        with suppress(WorkflowFailureError):
            await self.completed(workflow_id)

    async def completed(self, workflow_id: str) -> None:
        await asyncio.wait_for(self.client.get_workflow_handle(workflow_id).result(), 90)

    async def keep(self, name: str, workflow_id: str, run_id: str | None = None) -> None:
        history = await self.client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        text = json.dumps(_without_the_machine(json.loads(history.to_json())), indent=1)
        await asyncio.to_thread((HISTORIES / f"{name}.json").write_text, text + "\n")

    async def continued_run(self, workflow_id: str) -> str:
        """Wait for a run that was continued as new, and give it."""
        wanted = f"WorkflowId = '{workflow_id}' and ExecutionStatus = 'ContinuedAsNew'"
        async with asyncio.timeout(120):
            while True:
                async for run in self.client.list_workflows(wanted):
                    return run.run_id
                await asyncio.sleep(0.2)

    async def run_id(self, workflow_id: str) -> str | None:
        return (await self.client.get_workflow_handle(workflow_id).describe()).run_id


def _without_the_machine(found: Any) -> Any:
    """Leave out which machine and which paths a history was recorded on."""
    if isinstance(found, dict):
        kept = {key: value for key, value in found.items() if key not in ("identity", "stackTrace")}
        return {key: _without_the_machine(value) for key, value in kept.items()}
    return [_without_the_machine(each) for each in found] if isinstance(found, list) else found


async def one_burst(scene: Scene) -> None:
    await scene.turn("room:burst")
    await until_digested(scene.resources, "room:burst", 2)
    await scene.ended(room_memory_id("room:burst"))
    await scene.ended(room_digest_id("room:burst"))
    await scene.keep("room_memory.one_burst", room_memory_id("room:burst"))
    await scene.keep("room_digest.one_chunk", room_digest_id("room:burst"))


async def remembered(scene: Scene) -> None:
    digest = room_digest_id("room:memory")
    await scene.turn("room:memory", "I live in Lima.")
    await until_digested(scene.resources, "room:memory", 2)
    await scene.ended(digest)
    await scene.keep("room_digest.memories_saved_at_once", digest)


async def remembered_apart(scene: Scene) -> None:
    """A chunk has memories to save, in a step of their own; another one's were left by a run that was cancelled."""
    digest = room_digest_id("room:memory")
    await scene.turn("room:memory", "I live in Lima.")
    await until_digested(scene.resources, "room:memory", 2)
    await scene.ended(digest)
    await scene.keep("room_digest.memories_saved", digest)

    digest = room_digest_id("room:left")
    await scene.held_at(digest, Point("memories", "save", "before"))
    await scene.turn("room:left", "I live in Quito.")
    await scene.reached(digest)
    await scene.client.get_workflow_handle(digest).cancel()
    await asyncio.sleep(1)
    scene.gates.hold(digest, Point("nobody", "nothing", "before"))
    scene.gates.open[digest].set()
    await scene.ended(digest)
    await scene.keep("room_digest.cancelled_while_saving", digest)
    room = RoomInput(room_id="room:left")
    await scene.client.start_workflow(ROOM_DIGEST, room, id=digest, task_queue=MEMORY_QUEUE)
    await scene.completed(digest)
    await scene.keep("room_digest.memories_left_by_another_run", digest)


async def nothing_buffered(scene: Scene) -> None:
    for kind, workflow_id in ((ROOM_MEMORY, room_memory_id("room:none")), (ROOM_DIGEST, room_digest_id("room:none"))):
        room = RoomInput(room_id="room:none")
        await scene.client.start_workflow(kind, room, id=workflow_id, task_queue=MEMORY_QUEUE)
        await scene.ended(workflow_id)
    await scene.keep("room_memory.nothing_buffered", room_memory_id("room:none"))
    await scene.keep("room_digest.nothing_left", room_digest_id("room:none"))


async def messages_meanwhile(scene: Scene) -> None:
    """Messages come while the first claim is archived, and again while the first digest is at work."""
    memory, digest = room_memory_id("room:more"), room_digest_id("room:more")
    await scene.held_at(memory, Point("archive", "add", "before"))
    await scene.held_at(digest, Point("answers", "record", "before"))
    await scene.turn("room:more", "first")
    await scene.reached(memory)
    await scene.turn("room:more", "second")
    scene.gates.open[memory].set()
    await scene.reached(digest)
    await scene.ended(memory)
    await scene.keep("room_memory.messages_meanwhile", memory)
    before = await scene.run_id(memory)
    await scene.turn("room:more", "third")
    while await scene.run_id(memory) == before:
        await asyncio.sleep(0.1)
    await scene.ended(memory)
    await scene.keep("room_memory.digest_already_at_work", memory)
    scene.gates.open[digest].set()
    await scene.ended(digest)
    await scene.keep("room_digest.woken_at_work", digest)


async def flushed(scene: Scene) -> None:
    workflow_id = room_memory_id("room:flush")
    await scene.turn("room:flush")
    handle = scene.client.get_workflow_handle(workflow_id)
    while not await _answers(handle.execute_update("flush", result_type=int)):
        await asyncio.sleep(0.1)
    await scene.ended(workflow_id)
    await scene.keep("room_memory.flushed", workflow_id)


async def _answers(call: Awaitable[object]) -> bool:
    try:
        await call
    except Exception:  # noqa: BLE001  the room may not be awake yet
        return False
    return True


async def cancelled(scene: Scene) -> None:
    memory, digest = room_memory_id("room:cancel"), room_digest_id("room:cancel")
    await scene.held_at(memory, Point("archive", "add", "before"))
    await scene.held_at(digest, Point("answers", "record", "before"))
    await scene.turn("room:cancel")
    for name, workflow_id in (("room_memory", memory), ("room_digest", digest)):
        await scene.reached(workflow_id)
        await scene.client.get_workflow_handle(workflow_id).cancel()
        await asyncio.sleep(1)
        scene.gates.open[workflow_id].set()
        await scene.ended(workflow_id)
        await scene.keep(f"{name}.cancelled", workflow_id)


async def cancelled_in_wait(scene: Scene) -> None:
    workflow_id = room_memory_id("room:wait")
    await scene.turn("room:wait")
    await asyncio.sleep(0.5)
    await scene.client.get_workflow_handle(workflow_id).cancel()
    await scene.ended(workflow_id)
    await scene.keep("room_memory.cancelled_in_wait", workflow_id)


async def terminated(scene: Scene) -> None:
    workflow_id = room_memory_id("room:end")
    await scene.held_at(workflow_id, Point("archive", "add", "before"))
    await scene.turn("room:end")
    await scene.reached(workflow_id)
    await scene.client.get_workflow_handle(workflow_id).terminate()
    scene.gates.open[workflow_id].set()
    await scene.keep("room_memory.terminated", workflow_id)


async def poisoned(scene: Scene) -> None:
    scene.model.refuses = lambda request: Status(400) if "poison" in str(request) else None
    await scene.turn("room:poison", "the poison")
    await until_digested(scene.resources, "room:poison", 2)
    await scene.ended(room_digest_id("room:poison"))
    await scene.keep("room_digest.split_and_quarantined", room_digest_id("room:poison"))


async def redis_away(scene: Scene) -> None:
    """The local claim fails, and the claim that can wait takes over."""
    workflow_id = room_memory_id("room:away")
    await scene.redis.stop()
    room = RoomInput(room_id="room:away")
    await scene.client.start_workflow(ROOM_MEMORY, room, id=workflow_id, task_queue=MEMORY_QUEUE)
    await asyncio.sleep(8)
    await scene.redis.start()
    await scene.completed(workflow_id)
    await scene.keep("room_memory.redis_away", workflow_id)


async def wrong_input(scene: Scene) -> None:
    await scene.client.start_workflow(ROOM_MEMORY, {"room": 1}, id="wrong-input", task_queue=MEMORY_QUEUE)
    await scene.ended("wrong-input")
    await scene.keep("room_memory.wrong_input", "wrong-input")


async def swept(scene: Scene) -> None:
    await scene.client.start_workflow(PROCESS_ROOMS, NoInput(), id="sweep-by-hand", task_queue=MEMORY_QUEUE)
    await scene.ended("sweep-by-hand")
    await scene.keep("process_rooms.swept", "sweep-by-hand")


async def imported(scene: Scene) -> None:
    workflow_id = await scene.start_import("done", range(20))
    await scene.completed(workflow_id)
    await scene.keep("import_history.finished", workflow_id)


async def import_paced(scene: Scene) -> None:
    """Paused, slowed, resumed, and finished."""
    workflow_id = await scene.start_import("paced", range(60), max_per_second=10)
    handle = scene.client.get_workflow_handle(workflow_id)
    await handle.signal("pause")
    await asyncio.sleep(7)
    await handle.execute_update("set_rate", RateInput(max_per_second=5))
    await handle.signal("resume")
    await asyncio.sleep(1)
    await handle.execute_update("set_rate", RateInput(max_per_second=None))
    await scene.completed(workflow_id)
    await scene.keep("import_history.paused_and_slowed", workflow_id)


async def import_cancelled(scene: Scene) -> None:
    workflow_id = await scene.start_import("cancel", range(60), max_per_second=10)
    await asyncio.sleep(1)
    await scene.client.get_workflow_handle(workflow_id).cancel()
    await scene.ended(workflow_id)
    await scene.keep("import_history.cancelled", workflow_id)
    workflow_id = await scene.start_import("cancel-paused", range(60), max_per_second=10)
    handle = scene.client.get_workflow_handle(workflow_id)
    await handle.signal("pause")
    await asyncio.sleep(8)
    await handle.cancel()
    await scene.ended(workflow_id)
    await scene.keep("import_history.cancelled_in_pause", workflow_id)


async def import_refused(scene: Scene) -> None:
    workflow_id = await scene.start_import("nothing", ())
    await scene.ended(workflow_id)
    await scene.keep("import_history.no_messages", workflow_id)
    workflow_id = await scene.start_import("misspelt", range(1), max_per_secnod=1)
    await scene.ended(workflow_id)
    await scene.keep("import_history.wrong_input", workflow_id)


async def import_terminated(scene: Scene) -> None:
    workflow_id = await scene.start_import("end", range(60), max_per_second=10)
    await asyncio.sleep(1)
    await scene.client.get_workflow_handle(workflow_id).terminate()
    await scene.keep("import_history.terminated", workflow_id)


async def import_continued(scene: Scene) -> None:
    workflow_id = await scene.start_import("long", range(60), max_per_second=4)
    first = await scene.run_id(workflow_id)
    await scene.completed(workflow_id)
    await scene.keep("import_history.continued", workflow_id, first)
    await scene.keep("import_history.finished_after_another_run", workflow_id)


async def loaded(scene: Scene) -> None:
    await add(scene.resources, "user", 3)
    await add(scene.resources, "company", 3)
    for kind, owner_type in ((LOAD_ALL_USERS_MEMORIES, "user"), (LOAD_ALL_COMPANIES_MEMORIES, "company")):
        workflow_id = await scene.start_load(kind, load_all_memories_id(owner_type))
        await scene.completed(workflow_id)
        await scene.keep(f"{workflow_id.replace('-', '_')}.finished", workflow_id)
    for kind, owner_type in ((LOAD_USER_MEMORIES, "user"), (LOAD_COMPANY_MEMORIES, "company")):
        for way, owner in (("finished", str(owner_id(1))), ("unknown_owner", "nobody")):
            workflow_id = load_memories_id(owner_type, owner)
            await scene.start_load(kind, workflow_id, {f"{owner_type}_id": owner})
            await scene.ended(workflow_id)
            await scene.keep(f"load_{owner_type}_memories.{way}", workflow_id)


async def load_paced(scene: Scene) -> None:
    """Paused, slowed, resumed, and finished; then paused and cancelled; then cancelled at work, and terminated."""
    await add(scene.resources, "user", 60, first=100)
    slow: dict[str, object] = {"max_per_second": 5, "batch_size": 5}
    workflow_id = await scene.start_load(LOAD_ALL_USERS_MEMORIES, load_all_memories_id("user"), slow)
    handle = scene.client.get_workflow_handle(workflow_id)
    await asyncio.sleep(2)
    await handle.signal("pause")
    await asyncio.sleep(3)
    await handle.execute_update("set_rate", RateInput(max_per_second=10))
    await handle.signal("resume")
    await handle.execute_update("set_rate", RateInput(max_per_second=None))
    await scene.completed(workflow_id)
    await scene.keep("load_all_users_memories.paused_and_slowed", workflow_id)
    for way in ("cancelled_in_pause", "cancelled", "terminated"):
        await scene.start_load(LOAD_ALL_USERS_MEMORIES, workflow_id, slow)
        await asyncio.sleep(2)
        if way == "cancelled_in_pause":
            await handle.signal("pause")
            await asyncio.sleep(3)
        await (handle.terminate() if way == "terminated" else handle.cancel())
        await scene.ended(workflow_id)
        await scene.keep(f"load_all_users_memories.{way}", workflow_id)


async def load_refused(scene: Scene) -> None:
    wrong: dict[str, object] = {"max_per_secnod": 1}
    workflow_id = await scene.start_load(LOAD_ALL_USERS_MEMORIES, load_all_memories_id("user"), wrong)
    await scene.ended(workflow_id)
    await scene.keep("load_all_users_memories.wrong_input", workflow_id)


async def load_continued(scene: Scene) -> None:
    await add(scene.resources, "user", 60, first=200)
    slow: dict[str, object] = {"max_per_second": 5, "batch_size": 2}
    workflow_id = await scene.start_load(LOAD_ALL_USERS_MEMORIES, load_all_memories_id("user"), slow)
    first = await scene.run_id(workflow_id)
    handle = scene.client.get_workflow_handle(workflow_id)
    for _ in range(2):
        await asyncio.sleep(1)
        await handle.signal("pause")
        await asyncio.sleep(2)
        await handle.signal("resume")
    await handle.execute_update("set_rate", RateInput(max_per_second=None))
    await scene.completed(workflow_id)
    await scene.keep("load_all_users_memories.continued", workflow_id, first)
    await scene.keep("load_all_users_memories.finished_after_another_run", workflow_id)


async def reconciled(scene: Scene) -> None:
    workflow_id = await scene.start_reconciling("reconcile-pages")
    await scene.completed(workflow_id)
    await scene.keep("reconcile_mem0.pages", workflow_id)


async def reconcile_cut_off(scene: Scene) -> None:
    for way in ("cancel", "terminate"):
        workflow_id = f"reconcile-{way}"
        await scene.held_at(workflow_id, Point("memory_store", "reconcile", "before"))
        await scene.start_reconciling(workflow_id)
        await scene.reached(workflow_id)
        handle = scene.client.get_workflow_handle(workflow_id)
        await (handle.cancel() if way == "cancel" else handle.terminate())
        scene.gates.open[workflow_id].set()
        await scene.ended(workflow_id)
        await scene.keep("reconcile_mem0.cancelled" if way == "cancel" else "reconcile_mem0.terminated", workflow_id)


async def reconcile_refused(scene: Scene) -> None:
    workflow_id = await scene.start_reconciling("reconcile-misspelt", {"repairs": False})
    await scene.ended(workflow_id)
    await scene.keep("reconcile_mem0.wrong_input", workflow_id)


async def reconcile_continued(scene: Scene) -> None:
    workflow_id = await scene.start_reconciling("reconcile-long")
    first = await scene.run_id(workflow_id)
    await scene.completed(workflow_id)
    await scene.keep("reconcile_mem0.continued", workflow_id, first)
    await scene.keep("reconcile_mem0.finished_after_another_run", workflow_id)


async def forgotten(scene: Scene) -> None:
    await scene.turn("room:forgotten", "I live in Lima.")
    await until_digested(scene.resources, "room:forgotten", 2)
    await scene.start_forgetting("42")
    await scene.completed(forget_owner_id("user", "42"))
    await scene.keep("forget_owner.finished", forget_owner_id("user", "42"))


async def forget_cut_off(scene: Scene) -> None:
    """A cancelled run and a terminated one leave the rest to the next."""
    for person, way in (("43", "cancelled"), ("44", "terminated")):
        workflow_id = forget_owner_id("user", person)
        await scene.held_at(workflow_id, Point("memory_store", "erase", "before"))
        await scene.start_forgetting(person)
        await scene.reached(workflow_id)
        handle = scene.client.get_workflow_handle(workflow_id)
        await (handle.cancel() if way == "cancelled" else handle.terminate())
        await asyncio.sleep(1)
        scene.gates.open[workflow_id].set()
        await scene.ended(workflow_id)
        await scene.keep(f"forget_owner.{way}", workflow_id)


async def forget_refused(scene: Scene) -> None:
    await scene.start_forgetting("42", owner="who")
    await scene.ended(forget_owner_id("user", "42"))
    await scene.keep("forget_owner.wrong_input", forget_owner_id("user", "42"))


async def continued(scene: Scene) -> None:
    """On a server that calls a history long after a dozen events."""
    memory, digest = room_memory_id("room:long"), room_digest_id("room:long")
    await scene.held_at(memory, Point("archive", "add", "before"))
    await scene.turn("room:long", "first")
    await scene.reached(memory)
    first = await scene.run_id(memory)
    for number in range(5):
        await scene.turn("room:long", f"turn {number}")
    scene.gates.open[memory].set()
    await until_digested(scene.resources, "room:long", 12)
    await scene.ended(memory)
    await scene.keep("room_memory.continued", memory, first)
    runs = [run async for run in scene.client.list_workflows(f"WorkflowId = '{digest}'")]
    [began] = [run.run_id for run in runs if run.status == WorkflowExecutionStatus.CONTINUED_AS_NEW][-1:]
    await scene.keep("room_digest.continued", digest, began)


async def kept_short(scene: Scene) -> None:
    """A room that never falls silent, and a digest with many chunks to do."""
    memory, digest = room_memory_id("room:loud"), room_digest_id("room:loud")

    async def talk() -> None:
        for number in range(700):
            await scene.turn("room:loud", f"turn {number}")
            await asyncio.sleep(0.01)

    talking = asyncio.create_task(talk())
    continued = [await scene.continued_run(workflow_id) for workflow_id in (memory, digest)]
    await talking
    await until_digested(scene.resources, "room:loud", 1_400, seconds=120)
    await scene.keep("room_memory.kept_short", memory, continued[0])
    await scene.keep("room_digest.kept_short", digest, continued[1])


SCENES: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    one_burst,
    kept_short,
    remembered,
    nothing_buffered,
    messages_meanwhile,
    flushed,
    cancelled,
    cancelled_in_wait,
    terminated,
    poisoned,
    redis_away,
    wrong_input,
    swept,
    imported,
    import_paced,
    import_cancelled,
    import_refused,
    import_terminated,
    loaded,
    load_paced,
    load_refused,
    reconciled,
    reconcile_cut_off,
    reconcile_refused,
    forgotten,
    forget_cut_off,
    forget_refused,
    reembedded,
    reembed_cut_off,
    reembed_refused,
    maintained,
    maintenance_refused,
    maintenance_cut_off,
    delivered,
    delivery_cut_off,
    delivery_refused,
    hints_taken,
    hints_cut_off,
    hints_refused,
)
# On a server that calls a history long after a dozen events.
LONG_SCENES: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    continued,
    import_continued,
    load_continued,
    reconcile_continued,
    reembed_continued,
    maintenance_continued,
    delivery_continued,
    hints_continued,
)


@asynccontextmanager
async def on_platform() -> AsyncIterator[Scene]:
    """With the hosted Mem0 saving is a step of its own."""
    async with (
        Mem0Server() as mem0,
        on_stage(MEM0_BACKEND="platform", MEM0_API_KEY=API_KEY, MEM0_HOST=mem0.url) as scene,
    ):
        yield scene


@asynccontextmanager
async def on_stage(temporal_server: type[TemporalServer] = TemporalServer, **more: str) -> AsyncIterator[Scene]:
    with short_folder() as folder:
        async with (
            RedisServer(folder / "redis") as redis,
            PostgresServer(folder / "postgres", database="afterturn") as postgres,
            temporal_server(folder / "temporal") as server,
            OpenAIServer(answer=lambda _: "The user asks.") as model,
        ):
            await upgrade(postgres.url)
            (imports := folder / "imports").mkdir()
            settings = settings_of(redis.url, postgres.url, server.address, model)
            os.environ |= {
                **settings,
                "LINGER_SECONDS": "2",
                "IMPORT_FOLDER": str(imports),
                "WEBHOOK_ALLOW_PRIVATE": "true",
                **more,
            }
            gates, client = Gates(), await temporal.connect()
            async with (
                open_resources() as resources,
                MemoryClient.connect() as memory,
                serving(holding_sections(reconciling_pages(watch(resources, gates.action), gates), gates), client),
            ):
                yield Scene(client, resources, memory, model, gates, redis, imports)


async def main(wanted: Sequence[str]) -> None:
    """Record the scenes of these names, or all of them."""
    HISTORIES.mkdir(exist_ok=True)
    for scenes, server in ((SCENES, TemporalServer), (LONG_SCENES, SmallHistories)):
        chosen = [act for act in scenes if not wanted or act.__name__ in wanted]
        if server is SmallHistories:
            os.environ["CHUNK_MESSAGES"] = "2"
        if chosen:
            async with on_stage(server) as scene:
                for act in chosen:
                    await act(scene)
                    scene.model.refuses = None
    if not wanted or remembered_apart.__name__ in wanted:
        async with on_platform() as scene:
            await remembered_apart(scene)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
