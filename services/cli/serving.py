"""`worker`, `proxy` and `db upgrade`."""

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from services import temporal
from services.cli.exit_codes import OK, UnreachableError
from services.cli.http_serving import serve_until_told
from services.cli.output import Output
from services.cli.reaching import postgres_place, temporal_place
from services.http import request_ids
from services.logs import log_to_stderr
from services.postgres import migrate
from services.settings import DatabaseSettings, WorkerSettings, load


async def work(output: Output) -> int:
    """Run workers until SIGTERM or SIGINT. It waits for Temporal itself, as it may be started before it."""
    from services.worker.run import run_until_stopped
    from services.worker.tracing import running_step

    log_to_stderr(running_step)
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
    log_to_stderr(request_ids.named)
    url = f"http://{settings.llm_proxy_host}:{settings.llm_proxy_port}"
    models = {"summary_model": settings.summary_model, "embedding_model": settings.embedding_model}
    output.emit({"llm_proxy_url": url, **models})
    output.note(f"the LLM proxy listens at {url}")
    return serve_until_told(lambda: serve(settings))


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
