"""What a burst costs, and what comes of it."""

from collections import Counter

from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import room_digest_id, room_memory_id
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from services.resources import Resources
from services.worker.run import running_workers
from tests.support.openai_server import COMPLETIONS, EMBEDDINGS, OpenAIServer
from tests.support.rooms import keys_left, until_digested

ROOM = "user:42"
# As the server counts them: a start or signal from outside, a timer, an activity, a marker, a child's start.
ACTIONS = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_MARKER_RECORDED,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
)


async def histories(resources: Resources, workflow_id: str) -> list[WorkflowHistory]:
    runs = resources.temporal.list_workflows(f"WorkflowId = '{workflow_id}'")
    return [
        await resources.temporal.get_workflow_handle(run.id, run_id=run.run_id).fetch_history() async for run in runs
    ]


async def test_a_burst_of_twenty_turns_costs_few_actions_and_model_calls(
    resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    # Over before a worker looks: each look at a burst that goes on costs two more.
    for turn in range(20):
        await memory.record_turn(ROOM, user=f"This is take {turn}. I moved to Lima.", assistant="Noted!")
    async with running_workers():
        await until_digested(resources, ROOM, 40)

    runs = [*await histories(resources, room_memory_id(ROOM)), *await histories(resources, room_digest_id(ROOM))]
    events = Counter(event.event_type for run in runs for event in run.events)
    actions = sum(events[kind] for kind in ACTIONS) + 1  # and the start of the digest
    assert actions <= 8, events
    assert model.calls[COMPLETIONS] == 2, model.calls  # a summary and the memories
    assert model.calls[EMBEDDINGS] == 3, model.calls  # the messages, the summary, and the memory
    messages = await resources.rooms.messages(ROOM)
    assert [message.seq for message in messages] == list(range(1, 41))
    assert [message.content for message in messages[::2]] == [
        f"This is take {turn}. I moved to Lima." for turn in range(20)
    ]
    assert await keys_left(resources) == []
    summary = await resources.summaries.rolling(ROOM)
    assert summary is not None
    assert summary.made_by in ("model", "extractive")
    assert (summary.covers_from, summary.covers_to) == (1, 40)
    [home] = await resources.brain.get_all_by_user("42")
    assert home.content == "user 42: I moved to Lima."


async def test_the_rooms_memory_and_digest_end_when_nothing_is_left(
    worker: None, resources: Resources, memory: MemoryClient
) -> None:
    await memory.record_turn(ROOM, user="I moved to Lima.", assistant="Noted!")
    await until_digested(resources, ROOM, 2)
    for workflow_id in (room_memory_id(ROOM), room_digest_id(ROOM)):
        await resources.temporal.get_workflow_handle(workflow_id).result()
