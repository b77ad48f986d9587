import asyncio
from typing import Any

import asyncpg
import pytest
from redis import Redis

from services.cli.checks.row_security import check_row_security
from services.cli.checks.temporal import check_temporal
from services.embedded.redis_server import RedisServer
from services.postgres.migrate import downgrade
from services.resources import Resources
from services.worker.schedules import schedules
from tests.support.command_line import CommandLine, Finished
from tests.support.main_job import EMBEDDING_MODEL, SUMMARY_MODEL
from tests.support.openai_server import OpenAIServer, Status

# The tests' own Postgres waits for no disk, which is told as it should be; that of `make up` passes (test_demo).
FAST = {"Postgres: fsync", "Postgres: full_page_writes"}


def states(finished: Finished) -> dict[str, str]:
    checks: list[dict[str, Any]] = finished.document["checks"]
    assert all(check["cure"] for check in checks if check["state"] == "failed")
    return {check["name"]: check["state"] for check in checks}


@pytest.fixture
async def polling(worker: None, resources: Resources) -> None:
    """A worker that asks for work on all of its queues, as far as Temporal knows."""
    async with asyncio.timeout(60):
        while any(check.state == "failed" for check in await check_temporal(resources.temporal)):
            await asyncio.sleep(0.1)


async def test_a_healthy_system_passes(polling: None, afterturn: CommandLine) -> None:
    healthy = await afterturn("doctor", "--json")
    found = states(healthy)
    assert {name for name, state in found.items() if state != "ok"} == FAST, found
    assert {
        "Redis: appendfsync",
        "Redis: appendonly",
        "Redis: maxmemory-policy",
        "Redis: a primary",
        "Redis: clock",
        "Redis: writes",
        "Redis: memory",
        "Redis: connections",
        "Postgres: version",
        "Postgres: pgvector",
        "Postgres: schema",
        "Postgres: clock",
        "Postgres: synchronous_commit",
        "Postgres: connections",
        "Postgres: row-level security",
        "Postgres: roles",
        "Postgres: login",
        "Temporal: version",
        "Temporal: clock",
        *(f"Temporal: schedule {schedule}" for schedule in schedules()),
        "Temporal: a worker on memory",
        "Temporal: a worker on llm",
        "Temporal: a worker on mem0",
        "Temporal: version of the workers",
        "LLM proxy: SUMMARY_MODEL",
        "LLM proxy: EMBEDDING_MODEL",
        f"LLM proxy: {SUMMARY_MODEL} answers",
        f"LLM proxy: {EMBEDDING_MODEL} answers",
    } <= set(found)
    assert healthy.code == 1
    assert healthy.document["healthy"] is False


async def test_what_is_wrong_is_told_with_its_cure(
    environment: None, resources: Resources, afterturn: CommandLine, model: OpenAIServer
) -> None:
    model.models = ["chat-model"]
    await resources.redis.config_set("appendfsync", "everysec")
    try:
        sick = await afterturn("doctor", "--json")
        for_a_person = await afterturn("doctor")
    finally:
        await resources.redis.config_set("appendfsync", "always")
    assert sick.code == for_a_person.code == 1
    failed = {name for name, state in states(sick).items() if state == "failed"}
    assert failed == FAST | {
        "Redis: appendfsync",
        *(f"Temporal: schedule {schedule}" for schedule in schedules()),
        "Temporal: a worker on memory",
        "Temporal: a worker on llm",
        "Temporal: a worker on mem0",
        "LLM proxy: EMBEDDING_MODEL",
    }
    assert "CONFIG SET appendfsync always" in for_a_person.out
    assert "run `afterturn schedules apply`" in for_a_person.out


async def test_a_model_that_is_listed_and_does_not_answer_is_told(
    worker: None, afterturn: CommandLine, model: OpenAIServer
) -> None:
    model.fault = Status(503)
    sick = await afterturn("doctor", "--json")
    answers = {f"LLM proxy: {name} answers": "failed" for name in (SUMMARY_MODEL, EMBEDDING_MODEL)}
    assert {name: state for name, state in states(sick).items() if name in answers} == answers
    assert sick.code == 1


async def test_a_table_that_everybody_may_read_is_told_with_its_cure(
    environment: None, resources: Resources, afterturn: CommandLine, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("alter table messages no force row level security")
        await connection.execute("alter table user_brain disable row level security")
        checks = (await afterturn("doctor", "--json")).document["checks"]
        found = next(check for check in checks if check["name"] == "Postgres: row-level security")
        assert (found["state"], found["detail"]) == ("failed", "not in force on messages, user_brain")
        for cure in found["cure"].split("; "):
            await connection.execute(cure)
    finally:
        await connection.close()
    cured = await check_row_security(resources.database, on_this_machine=False)
    # On a server that others reach, a superuser's login is one injection away from everything.
    assert [check.state for check in cured] == ["ok", "ok", "failed"]


async def test_an_older_schema_is_told(environment: None, afterturn: CommandLine, database_url: str) -> None:
    await downgrade(database_url, "-1")
    found = states(await afterturn("doctor", "--json"))
    assert found["Postgres: schema"] == "failed"


async def test_servers_that_are_away_are_each_told(environment: None, afterturn: CommandLine) -> None:
    away = await afterturn(
        "doctor",
        "--json",
        REDIS_URL="redis://127.0.0.1:1",
        DATABASE_URL="postgresql://postgres:secret@127.0.0.1:1/x",
        TEMPORAL_ADDRESS="127.0.0.1:1",
        LLM_PROXY_URL="http://127.0.0.1:1",
    )
    assert away.code == 1
    assert states(away) == {
        f"{server}: reachable": "failed" for server in ("Redis", "Postgres", "Temporal", "LLM proxy")
    }
    assert "secret" not in away.out + away.err


async def test_a_redis_that_hides_its_settings_is_not_checkable(
    polling: None, redis_server: RedisServer, afterturn: CommandLine
) -> None:
    with Redis.from_url(redis_server.url) as redis:
        redis.execute_command(
            "ACL", "SETUSER", "guest", "on", ">word", "~*", "&*", "+@all", "-config", "-role", "-time"
        )
        try:
            url = redis_server.url.replace("redis://", "redis://guest:word@")
            hidden = await afterturn("doctor", "--json", REDIS_URL=url)
        finally:
            redis.execute_command("ACL", "DELUSER", "guest")
    told = states(hidden)
    found = {name: state for name, state in told.items() if name.startswith("Redis")}
    assert found.pop("Redis: reachable") == "ok"
    assert set(found.values()) == {"not checkable"}
    assert {name for name, state in told.items() if state == "failed"} == FAST
