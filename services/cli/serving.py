"""`worker`, `proxy`, `schedules` and `db upgrade`."""

import logging
import signal

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from temporalio.client import Client, ScheduleDescription
from temporalio.service import RPCError, RPCStatusCode

from services import temporal
from services.cli.exit_codes import FAILED, OK, UnreachableError
from services.cli.output import Output
from services.cli.reaching import postgres_place, reach_temporal, temporal_place
from services.postgres import migrate
from services.settings import DatabaseSettings, WorkerSettings, load


async def work(output: Output) -> int:
    """Run workers until SIGTERM or SIGINT. It waits for Temporal itself, as it may be started before it."""
    from services.worker.run import run_until_stopped

    _log_to_stderr()
    client = await temporal.connect(lazy=True)
    queues = load(WorkerSettings).task_queues.split(",")
    output.emit({"task_queues": queues, "temporal_address": client.service_client.config.target_host})
    output.note(f"serving {', '.join(queues)} from {temporal_place(client)}")
    await run_until_stopped()
    return OK


def serve_proxy(output: Output) -> int:
    from services.llm_proxy.credentials import check_binding
    from services.llm_proxy.server import serve
    from services.settings import ProxySettings

    settings = load(ProxySettings)
    check_binding(settings)
    _log_to_stderr()
    url = f"http://{settings.llm_proxy_host}:{settings.llm_proxy_port}"
    models = {"summary_model": settings.summary_model, "embedding_model": settings.embedding_model}
    output.emit({"llm_proxy_url": url, **models})
    output.note(f"the LLM proxy listens at {url}")
    for number in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn raises them again when it has stopped; by then they have done what they were sent for.
        signal.signal(number, lambda *_: None)
    try:
        serve(settings)
    except SystemExit as left:
        # Uvicorn has said why, and its codes mean something else than ours.
        return FAILED if left.code else OK
    return OK


async def upgrade(output: Output) -> int:
    url = load(DatabaseSettings).database_url
    try:
        was_current = await migrate.is_current(url)
        if not was_current:
            await migrate.upgrade(url)
    except (DBAPIError, SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        name = type(cause.__cause__ or cause).__name__
        raise UnreachableError(f"DATABASE_URL: {postgres_place()} cannot be upgraded ({name})") from None
    output.emit({"upgraded": not was_current, "current": True})
    output.print("the schema is the newest" if was_current else "the schema was brought to the newest")
    return OK


async def apply_schedules(output: Output) -> int:
    from services.worker.schedules import apply_schedules, schedules

    client = await temporal.connect(lazy=True)
    await reach_temporal(client)
    await apply_schedules(client)
    output.emit({"applied": list(schedules())})
    output.print(f"applied: {', '.join(schedules())}")
    return OK


async def list_schedules(output: Output) -> int:
    """Answer 1 when one that should be there is missing."""
    from services.worker.schedules import schedules

    client = await temporal.connect(lazy=True)
    await reach_temporal(client)
    found = {name: await describe(client, name) for name in schedules()}
    rows = [_schedule(name, description) for name, description in found.items()]
    output.emit({"schedules": rows})
    columns = ("id", "state", "every_seconds", "last_run", "next_run")
    output.table(
        [column.replace("_", " ") for column in columns], ([row[column] for column in columns] for row in rows)
    )
    if missing := [name for name, description in found.items() if description is None]:
        output.note(f"{', '.join(missing)} missing: run `afterturn schedules apply`")
    return FAILED if missing else OK


async def describe(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def _schedule(name: str, description: ScheduleDescription | None) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(("every_seconds", "last_run", "next_run"))
    if description is None:
        return {"id": name, "state": "missing", **row}
    schedule, info = description.schedule, description.info
    row["every_seconds"] = next((interval.every.total_seconds() for interval in schedule.spec.intervals), None)
    row["last_run"] = info.recent_actions[-1].started_at if info.recent_actions else None
    row["next_run"] = info.next_action_times[0] if info.next_action_times else None
    return {"id": name, "state": "paused" if schedule.state.paused else "active", **row}


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
