from typing import Any

from redis import Redis

from services.embedded.redis_server import RedisServer
from services.resources import Resources
from tests.support.command_line import CommandLine, Finished
from tests.support.openai_server import OpenAIServer


def states(finished: Finished) -> dict[str, str]:
    checks: list[dict[str, Any]] = finished.document["checks"]
    assert all(check["cure"] for check in checks if check["state"] == "failed")
    return {check["name"]: check["state"] for check in checks}


async def test_a_healthy_system_passes(worker: None, afterturn: CommandLine) -> None:
    healthy = await afterturn("doctor", "--json")
    found = states(healthy)
    assert set(found.values()) == {"ok"}, found
    assert {
        "Redis: appendfsync",
        "Redis: appendonly",
        "Redis: maxmemory-policy",
        "Redis: a primary",
        "Redis: clock",
        "Postgres: version",
        "Postgres: pgvector",
        "Postgres: schema",
        "Postgres: clock",
        "Temporal: schedule process-rooms",
        "Temporal: a worker on memory",
        "Temporal: a worker on llm",
        "Temporal: a worker on mem0",
        "LLM proxy: SUMMARY_MODEL",
        "LLM proxy: EMBEDDING_MODEL",
    } <= set(found)
    assert healthy.code == 0
    assert healthy.document["healthy"] is True


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
    assert failed == {
        "Redis: appendfsync",
        "Temporal: schedule process-rooms",
        "Temporal: a worker on memory",
        "Temporal: a worker on llm",
        "Temporal: a worker on mem0",
        "LLM proxy: EMBEDDING_MODEL",
    }
    assert "CONFIG SET appendfsync always" in for_a_person.out
    assert "run `afterturn schedules apply`" in for_a_person.out


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
    worker: None, redis_server: RedisServer, afterturn: CommandLine
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
    found = {name: state for name, state in states(hidden).items() if name.startswith("Redis")}
    assert found.pop("Redis: reachable") == "ok"
    assert set(found.values()) == {"not checkable"}
    assert hidden.code == 0
