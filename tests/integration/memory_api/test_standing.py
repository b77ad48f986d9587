"""What `/metrics` says of the whole system."""

import re

import httpx
from sqlalchemy import text

from services.domain.credentials import make_key
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources
from tests.support.memory_api import StartApi, archived

WAITING = text("""
    insert into chunks (id, room_id, first_seq, last_seq, tokens, state, created_at)
    values (gen_random_uuid(), 'room:one', 1, 2, 10, :state, now() - interval '1 hour')
""")


async def test_it_says_what_waits_what_is_set_aside_and_what_redis_uses(
    resources: Resources, start_api: StartApi
) -> None:
    key = make_key()
    await ApiKeys(resources.database).add(key, name="p", scopes=("admin",), binding=Binding(), expires_at=None)
    await resources.quarantine.add_buffer("a@b:messages", [b"one", b"two"], run_id="run")
    headers = {"Authorization": f"Bearer {key.key}"}
    url = await start_api()
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as api:
        assert figures(await api.get("/metrics"))["afterturn_oldest_waiting_seconds"] == 0
        async with resources.database.transaction() as session:
            await session.execute(text("insert into rooms (id) values ('room:one')"))
            await session.execute(WAITING, {"state": "waiting"})
        told = figures(await api.get("/metrics"))
        assert told["afterturn_waiting_chunks"] == 1
        assert 3_600 <= told["afterturn_oldest_waiting_seconds"] < 3_700
        assert told["afterturn_quarantined"] == 2
        # What no chunk covers yet waits, too, and longer here.
        await archived(resources, "room:two", "one", "two")
        async with resources.database.transaction() as session:
            await session.execute(text("update messages set archived_at = now() - interval '2 hours' where seq = 1"))
        told = figures(await api.get("/metrics"))
        assert (told["afterturn_waiting_messages"], told["afterturn_waiting_chunks"]) == (2, 1)
        assert 7_200 <= told["afterturn_oldest_waiting_seconds"] < 7_300
        assert told["afterturn_redis_used_memory_bytes"] > 0
        assert told['afterturn_server_up{server="redis"}'] == told['afterturn_server_up{server="postgres"}'] == 1
        async with resources.database.transaction() as session:
            await session.execute(text("reset role"))
            await session.execute(text("alter table quarantine rename to elsewhere"))
        told = figures(await api.get("/metrics"))
        assert told['afterturn_server_up{server="postgres"}'] == 0
        assert "afterturn_waiting_chunks" not in told


def figures(answer: httpx.Response) -> dict[str, float]:
    assert answer.status_code == 200, answer.text
    return {name: float(value) for name, value in re.findall(r"^(afterturn_\S+) (\S+)$", answer.text, re.MULTILINE)}
