"""Commands that run and look after servers, and what every command has in common."""

import asyncio
import signal

import asyncpg
import httpx
import pytest

from services.embedded.ports import free_port
from services.embedded.postgres_server import PostgresServer
from services.resources import Resources
from services.worker.schedules import apply_schedules, schedules
from tests.support.command_line import CommandLine
from tests.support.openai_server import OpenAIServer

COMMANDS = (
    ("up",),
    ("demo",),
    ("worker",),
    ("proxy",),
    ("api",),
    ("context",),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "revoke"),
    ("doctor",),
    ("record",),
    ("import",),
    ("search",),
    ("rooms",),
    ("messages",),
    ("quarantine", "list"),
    ("quarantine", "show"),
    ("redrive",),
    ("db", "upgrade"),
    ("schedules", "apply"),
    ("schedules", "list"),
    ("restored",),
    ("replay",),
    ("forget", "list"),
)


async def test_every_command_has_an_example_json_and_its_exit_codes_in_its_help(afterturn: CommandLine) -> None:
    for command in COMMANDS:
        helped = await afterturn(*command, "--help")
        assert helped.code == 0
        assert all(word in helped.out for word in ("Example:", "--json", "Exit codes:")), command


async def test_a_process_ends_with_the_commands_exit_code(environment: None, afterturn: CommandLine) -> None:
    listed = await afterturn.process("rooms", "--json")
    assert (listed.code, listed.document) == (0, {"rooms": []})
    for code, command in {1: ("messages", "user:nobody"), 2: ("messages", "nobody")}.items():
        ended = await afterturn.process(*command)
        assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)


async def test_wrong_usage_answers_2_in_one_line(environment: None, afterturn: CommandLine) -> None:
    for wrong in (("rooms", "--limit", "many"), ("nonsense",), ("messages",), ("record", "e@mail")):
        refused = await afterturn(*wrong)
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1), refused
        assert refused.err.startswith("afterturn: ")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DATABASE_URL", "mysql://localhost", "DATABASE_URL: takes"),
        ("REDIS_URL", "localhost", "REDIS_URL: takes"),
        ("DATABASE_POOL_SIZE", "none", "DATABASE_POOL_SIZE: takes"),
    ],
)
async def test_a_wrong_setting_answers_2_and_is_named(
    environment: None, afterturn: CommandLine, variable: str, value: str, words: str
) -> None:
    refused = await afterturn("rooms", **{variable: value})
    assert (refused.code, refused.out) == (2, "")
    assert words in refused.err


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        (("rooms",), "DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/nothing"),
        (("db", "upgrade"), "DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/nothing"),
        (("record", "user:42"), "REDIS_URL", "redis://:secret@127.0.0.1:1/0"),
        (("schedules", "list"), "TEMPORAL_ADDRESS", "127.0.0.1:1"),
        (("schedules", "apply"), "TEMPORAL_NAMESPACE", "nowhere"),
        (("demo", "--my-servers"), "REDIS_URL", "redis://:secret@127.0.0.1:1/0"),
    ],
)
async def test_a_server_that_is_away_answers_3_and_is_named(
    environment: None, afterturn: CommandLine, command: tuple[str, ...], variable: str, value: str
) -> None:
    away = await afterturn(*command, stdin="hello\n", **{variable: value})
    assert (away.code, away.out) == (3, ""), away
    assert variable.removesuffix("_NAMESPACE") in away.err or "TEMPORAL_ADDRESS" in away.err
    assert "secret" not in away.err
    assert "Traceback" not in away.err


async def test_a_database_is_upgraded_once(postgres_server: PostgresServer, afterturn: CommandLine) -> None:
    connection = await asyncpg.connect(postgres_server.url_of("postgres"))
    try:
        await connection.execute("create database cli_upgrade")
        url = postgres_server.url_of("cli_upgrade")
        behind = await afterturn("rooms", DATABASE_URL=url)
        assert behind.code == 1
        assert "run `afterturn db upgrade`" in behind.err
        for upgraded in (True, False):
            done = await afterturn("db", "upgrade", "--json", DATABASE_URL=url)
            assert (done.code, done.document) == (0, {"upgraded": upgraded, "current": True})
        assert (await afterturn("rooms", DATABASE_URL=url)).code == 0
    finally:
        await connection.execute("drop database if exists cli_upgrade with (force)")
        await connection.close()


async def test_schedules_are_applied_and_listed(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    missing = await afterturn("schedules", "list", "--json")
    assert (missing.code, missing.document["schedules"][0]["state"]) == (1, "missing")
    applied = await afterturn("schedules", "apply", "--json")
    assert (applied.code, applied.document) == (0, {"applied": list(schedules())})
    await resources.temporal.get_schedule_handle("process-rooms").pause()
    await apply_schedules(resources.temporal)
    listed = (await afterturn("schedules", "list", "--json")).document["schedules"]
    assert [row["id"] for row in listed] == list(schedules())
    assert (listed[0]["state"], listed[0]["every_seconds"], listed[0]["interval"]) == ("paused", 30.0, "ours")


async def test_a_worker_serves_until_it_is_told_to_stop(environment: None, afterturn: CommandLine) -> None:
    process = await afterturn.start("worker", "--json")
    assert process.stderr
    async with asyncio.timeout(60):
        while b"worker started" not in (line := await process.stderr.readline()):
            assert line, "it has ended"
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert b'"task_queues"' in out


async def test_the_proxy_serves_until_it_is_told_to_stop(
    environment: None, afterturn: CommandLine, model: OpenAIServer
) -> None:
    port = free_port()
    settings = {"LLM_PROXY_PORT": str(port), "OPENAI_COMPATIBLE_URL": model.url}
    process = await afterturn.start("proxy", "--json", **settings)
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        while True:
            try:
                ready = await http.get("/ready")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.2)
        assert ready.status_code == 200
        assert (await afterturn.process("proxy", **settings)).code == 1
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("command", ["api", "proxy"])
async def test_a_server_that_has_just_begun_ends_when_it_is_told(
    environment: None, afterturn: CommandLine, model: OpenAIServer, command: str
) -> None:
    """By us, or by the system before we could: a signal between the two is not lost either."""
    ports = {"LLM_PROXY_PORT": str(free_port()), "MEMORY_API_PORT": str(free_port())}
    for seconds in (0.0, 0.02, 0.1):
        process = await afterturn.start(command, OPENAI_COMPATIBLE_URL=model.url, **ports)
        assert process.stderr
        async with asyncio.timeout(60):
            while b"listens at" not in (line := await process.stderr.readline()):
                assert line, "it has ended"
            await asyncio.sleep(seconds)
            process.send_signal(signal.SIGTERM)
            await process.communicate()
        assert process.returncode in (0, -signal.SIGTERM)


async def test_a_proxy_without_a_model_server_answers_2(environment: None, afterturn: CommandLine) -> None:
    refused = await afterturn.process("proxy")
    assert refused.code == 2
    assert "OLLAMA_URL_INTERNAL: takes" in refused.err
