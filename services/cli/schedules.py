"""`schedules`: applies them, and lists them with what their last run came to."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from services import temporal
from services.cli.exit_codes import FAILED, OK
from services.cli.output import Output
from services.cli.reaching import reach_temporal
from services.worker.schedules import applied_every, apply_schedules, schedules, seconds_of

_ANSWER = timedelta(seconds=5)
_COLUMNS = ("id", "state", "every_seconds", "interval", "last_run", "last_status", "last_result", "next_run")


async def apply(output: Output) -> int:
    client = await temporal.connect(lazy=True)
    await reach_temporal(client)
    await apply_schedules(client)
    output.emit({"applied": list(schedules())})
    output.print(f"applied: {', '.join(schedules())}")
    return OK


async def list_all(output: Output) -> int:
    """Answer 1 when one that should be there is missing."""
    client = await temporal.connect(lazy=True)
    await reach_temporal(client)
    rows = await asyncio.gather(*(_row(client, name) for name in schedules()))
    output.emit({"schedules": rows})
    output.table(
        [column.replace("_", " ") for column in _COLUMNS], ([row[column] for column in _COLUMNS] for row in rows)
    )
    if missing := [row["id"] for row in rows if row["state"] == "missing"]:
        output.note(f"{', '.join(missing)} missing: run `afterturn schedules apply`")
    return FAILED if missing else OK


async def describe(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _row(client: Client, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "state": "missing", **dict.fromkeys(_COLUMNS[2:])}
    description = await describe(client, name)
    if description is None:
        return row
    schedule, info = description.schedule, description.info
    row["state"] = "paused" if schedule.state.paused else "active"
    row["every_seconds"] = seconds_of(schedule.spec)
    row["interval"] = "ours" if row["every_seconds"] == await applied_every(client, schedule) else "the operator's"
    row["next_run"] = info.next_action_times[0] if info.next_action_times else None
    if info.recent_actions:
        last = info.recent_actions[-1]
        row["last_run"] = last.started_at
        row["last_status"], row["last_result"] = await _last(client, last.action)
    return row


async def _last(client: Client, action: object) -> tuple[str | None, Any]:
    """Say how the newest run of what was started stands; its result holds counts only."""
    if not isinstance(action, ScheduleActionExecutionStartWorkflow):
        return None, None
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(action.workflow_id)
    try:
        status = (await handle.describe(rpc_timeout=_ANSWER)).status
        done = status is WorkflowExecutionStatus.COMPLETED
        result = await handle.result(rpc_timeout=_ANSWER) if done else None
    except RPCError:
        # It is past Temporal's own retention.
        return None, None
    return status.name.lower() if status else None, result
