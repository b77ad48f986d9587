import asyncio
import re
import shlex
import signal
from pathlib import Path

import pytest

from services.domain.memories import OwnerType, owner_of
from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.loads import add, change, versions

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"
USERS, COMPANIES = "load-all-users-memories", "load-all-companies-memories"


async def test_everybody_is_loaded(worker: None, resources: Resources, afterturn: CommandLine) -> None:
    await add(resources, "user", 30)
    await add(resources, "company", 3)
    dry = await afterturn("backfill", "users", "--dry-run")
    assert dry.code == 0
    assert "total memories created: 120 (none written: a dry run)" in dry.out
    assert await versions(resources) == []
    users = await afterturn("backfill", "users", "--batch-size", "7", "--json")
    assert (users.code, users.err) == (0, "")
    assert (users.document["id"], users.document["state"]) == (USERS, "done")
    assert users.document["result"] == {
        "total_users": 30, "loaded_users": 30, "failed_users": 0, "total_memories_created": 120,
    }  # fmt: skip
    since = await afterturn("backfill", "users", "--since", "2027-01-01")
    assert "total users: 0" in since.out
    companies = await afterturn("backfill", "companies", "--only-missing")
    assert companies.code == 0
    assert "load-all-companies-memories: done" in companies.out
    assert "total memories created: 12" in companies.out
    status = await afterturn("backfill", "companies", "--status")
    assert (status.code, "done" in status.out) == (0, True)
    async with asyncio.timeout(60):
        listed: list[dict[str, str]] = []
        while [run["state"] for run in listed] != ["done"] * 4:
            await asyncio.sleep(0.2)
            listed = (await afterturn("backfill", "list", "--json")).document["backfills"]
    assert [run["id"] for run in listed] == [COMPANIES, USERS, USERS, USERS]
    newest = await afterturn("backfill", "list", "--limit", "1")
    assert (newest.code, COMPANIES in newest.out, USERS in newest.out) == (0, True, False)


async def test_one_owner_is_loaded_or_said_to_be_unknown(
    worker: None, resources: Resources, afterturn: CommandLine
) -> None:
    await change(
        resources,
        "insert into profiles (id, external_id, full_name) values (:id, '42', 'Ana')",
        id=owner_of("user", "42").id,
    )
    done = await afterturn("backfill", "user", "42", "--json")
    assert (done.code, done.document["result"]) == (0, {"total_memories_created": 1})
    unknown = await afterturn("backfill", "company", "acme")
    assert unknown.code == 1
    assert "company_id: takes the id of one who has a row" in unknown.out
    wrong = await afterturn("backfill", "company", "ac me")
    assert (wrong.code, wrong.out) == (2, "")
    assert "company_id" in wrong.err


async def test_a_running_load_is_steered(worker: None, resources: Resources, afterturn: CommandLine) -> None:
    await add(resources, "user", 500)
    slow = ("backfill", "users", "--max-per-second", "10", "--batch-size", "5")
    nothing = await afterturn("backfill", "users", "--pause")
    assert nothing.code == 1
    assert f"no backfill {USERS} is running" in nothing.err
    started = await afterturn(*slow, "--no-wait", "--json")
    assert (started.code, started.document) == (0, {"id": USERS, "state": "started"})
    assert "afterturn backfill users --status" in started.err
    again = await afterturn(*slow)
    assert again.code == 1
    assert f"{USERS} is running already" in again.err
    paused = await afterturn("backfill", "users", "--pause", "--json")
    assert (paused.code, paused.document["state"]) == (0, "paused")
    lifted = await afterturn("backfill", "users", "--rate", "none", "--json")
    assert lifted.document["progress"]["max_per_second"] is None
    # Last, so that it still runs when it is cancelled.
    slowed = await afterturn("backfill", "users", "--rate", "2", "--json")
    assert slowed.document["progress"]["max_per_second"] == 2
    for rate in ("fast", "0"):
        wrong = await afterturn("backfill", "users", "--rate", rate)
        assert (wrong.code, wrong.out) == (2, "")
    both = await afterturn("backfill", "users", "--pause", "--resume")
    assert both.code == 2
    resumed = await afterturn("backfill", "users", "--resume", "--json")
    assert resumed.document["state"] == "running"
    cancelled = await afterturn("backfill", "users", "--cancel", "--json")
    assert (cancelled.code, cancelled.document["state"]) == (0, "cancelled")


@pytest.mark.slow
async def test_a_ctrl_c_leaves_it_running(worker: None, resources: Resources, afterturn: CommandLine) -> None:
    await add(resources, "user", 1_000)
    process = await afterturn.start("backfill", "users", "--max-per-second", "10", "--batch-size", "5")
    async with asyncio.timeout(60):
        while not await versions(resources):
            await asyncio.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130
    assert "a load that was started goes on; `afterturn backfill users --status` watches it" in err.decode()
    status = await afterturn("backfill", "users", "--status", "--json")
    assert status.document["state"] == "running"
    await afterturn("backfill", "users", "--cancel")


async def test_every_command_of_the_documentation_works(
    worker: None, resources: Resources, afterturn: CommandLine
) -> None:
    rows: tuple[tuple[str, str, OwnerType], ...] = (("profiles", "42", "user"), ("companies", "acme", "company"))
    for table, id_, kind in rows:
        await change(
            resources,
            f"insert into {table} (id, external_id) values (:id, :external_id)",  # noqa: S608
            id=owner_of(kind, id_).id,
            external_id=id_,
        )
    commands = re.findall("^afterturn (backfill .*)$", DOCS.read_text(), re.MULTILINE)
    assert len(commands) == 12
    said: dict[str, str] = {}
    for command in commands:
        if "--only-missing" in command:
            # So many that the load still runs when the rest of the page steers it.
            await add(resources, "user", 5_000)
        done = await afterturn(*shlex.split(command))
        assert done.code == 0, (command, done.err)
        said[command] = done.out
    assert "total users: 1" in said["backfill users --since 2026-09-01"]
    assert "paused" in said["backfill users --pause"]
    assert "cancelled" in said["backfill users --cancel"]
    assert "load-user-memories:42" in said["backfill list"]


async def test_temporal_away_is_said(afterturn: CommandLine, environment: None) -> None:
    away = await afterturn("backfill", "users", TEMPORAL_ADDRESS="127.0.0.1:1")
    assert (away.code, away.out) == (3, "")
    assert "TEMPORAL_ADDRESS" in away.err
