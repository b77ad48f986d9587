"""`api`, `context` and `keys`."""

import asyncio
import signal

import httpx

from services.embedded.ports import free_port
from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.memory_api import add_members


async def test_keys_are_made_listed_and_revoked(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    made = (await afterturn("keys", "create", "chat", "--scope", "read", "--user", "42", "--json")).document
    assert made["key"].startswith(made["prefix"])
    listed = await afterturn("keys", "list")
    assert made["prefix"] in listed.out
    assert made["key"] not in listed.out
    assert (await afterturn("keys", "revoke", made["id"])).code == 0
    assert (await afterturn("keys", "list", "--json")).document["keys"][0]["revoked_at"]
    assert (await afterturn("keys", "revoke", "00000000-0000-0000-0000-000000000000")).code == 1
    assert (await afterturn("keys", "revoke", "nonsense")).code == 2
    assert (await afterturn("keys", "create", "x", "--scope", "nonsense")).code == 2


async def test_a_key_inside_a_company_that_its_person_does_not_belong_to_is_made_with_a_word(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    wanted = ("keys", "create", "agent", "--scope", "read", "--user", "ana", "--company", "acme")
    assert "ana does not belong to acme" in (await afterturn(*wanted)).err
    await add_members(resources.database)
    assert "belong" not in (await afterturn(*wanted)).err


async def test_a_context_is_printed_with_what_is_buffered(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    await afterturn("record", "user:42", stdin="I moved to Lima\n")
    printed = await afterturn("context", "user:42", "--budget", "200")
    assert printed.code == 0
    assert "I moved to Lima" in printed.out
    document = (await afterturn("context", "user:42", "--json")).document
    assert document["tokens"] <= 1_500
    assert (await afterturn("context", "user:42", "--budget", "1")).code == 2
    assert "nothing is remembered" in (await afterturn("context", "user:nobody")).err


async def test_the_api_serves_until_it_is_told_to_stop_on_loopback_without_a_key(
    environment: None, afterturn: CommandLine
) -> None:
    port = str(free_port())
    settings = {"MEMORY_API_HOST": "0.0.0.0", "MEMORY_API_PORT": port}  # noqa: S104  it must not be obeyed
    process = await afterturn.start("api", "--json", **settings)
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
    ):
        while True:
            try:
                ready = await http.get("/ready")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.2)
        assert ready.json() == {"status": "ready", "redis": True, "postgres": True}
        assert (await http.get("/v1/rooms")).status_code == 200
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    assert process.returncode == 0
    assert f'"api_url": "http://127.0.0.1:{port}"'.encode() in out
    assert b"listens on 127.0.0.1 only" in err
