"""The sweep opens only so many digests of what imports brought, and all of live chat."""

from datetime import UTC, datetime

from temporalio.testing import ActivityEnvironment

from activities.priorities import BACKLOG
from activities.sweep import SweepActivities
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.archive.imports import CLAIM_PREFIX, Imports
from services.resources import Resources


async def test_a_backlog_waits_for_places_and_live_chat_does_not(resources: Resources) -> None:
    said = NewMessage("m1", "user", "hello", "42", None, datetime(2026, 3, 2, tzinfo=UTC))
    for number in range(5):
        old = ClaimedEntry(0, b"", said)
        await resources.archive.add(f"room:old{number}", f"{CLAIM_PREFIX}1/0.0/a", [old], run_id="r")
    steps = SweepActivities(
        resources.temporal,
        resources.buffer,
        resources.rooms,
        resources.quarantine,
        Imports(resources.database),
        backlog_digests=2,
    )

    async def swept() -> int:
        return (await ActivityEnvironment(client=resources.temporal).run(steps.sweep)).digests_woken

    assert await swept() == 2
    digest = await resources.temporal.get_workflow_handle("room-digest:room:old0").describe()
    started = digest.raw_description.workflow_execution_info.priority
    assert (started.priority_key, started.fairness_key) == (BACKLOG, "42")
    await resources.archive.add("user:42", "b" * 32, [ClaimedEntry(0, b"", said)], run_id="r")
    while await swept() == 0:  # what was started is seen by the sweep after an instant
        pass
    live = await resources.temporal.get_workflow_handle("room-digest:user:42").describe()
    assert live.raw_description.workflow_execution_info.priority.priority_key in (0, 3)
    assert await swept() == 0
