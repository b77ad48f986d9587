"""Promise 7 at the edge: what was said, ids, tokens and addresses are found in no log and no metric of the API."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.domain.credentials import make_key
from services.embedded.ports import free_port
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources
from tests.support.memory_api import Caller, turn

CANARY = "xylophonecanary"
ROOT = Path(__file__).parents[3]
ROOM, OWNER = f"/v1/rooms/room:{CANARY}", f"/v1/users/{CANARY}"


@pytest.fixture
async def log(environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Path]:
    port, log = free_port(), tmp_path / "api.log"
    monkeypatch.setenv("MEMORY_API_PORT", str(port))
    # Nobody listens there: each time that it is asked in vain, and says so.
    monkeypatch.setenv("MEMORY_API_JWKS_URL", f"http://127.0.0.1:{free_port()}/{CANARY}?key={CANARY}")
    monkeypatch.setenv("MEMORY_API_JWT_ISSUER", CANARY)
    monkeypatch.setenv("MEMORY_API_JWT_AUDIENCE", CANARY)
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev", "-m", "services.memory_api", cwd=ROOT, stdout=out, stderr=out
        )
        yield log
        process.terminate()
        await process.wait()


async def until_served(api: Caller) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await api.get("/health")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_neither_log_nor_metrics_name_anything_of_anybody(
    log: Path, resources: Resources, database_url: str
) -> None:
    key = make_key()
    await ApiKeys(resources.database).add(key, name=CANARY, scopes=("admin",), binding=Binding(), expires_at=None)
    url, headers = f"http://127.0.0.1:{os.environ['MEMORY_API_PORT']}", {"Authorization": f"Bearer {key.key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as api:
        await until_served(api)
        recorded = await api.post(f"{ROOM}/messages", json=turn(CANARY, user_id=CANARY))
        assert recorded.status_code == 202
        assert (await api.post(f"{ROOM}/messages", json={"messages": [{CANARY: CANARY}]})).status_code == 422
        assert (await api.post("/v1/context", json={"room_id": f"room:{CANARY}", "query": CANARY})).status_code == 200
        assert (await api.get(f"/{CANARY}", params={CANARY: CANARY})).status_code == 404
        assert (await api.post(f"/v1/webhooks/mem0/{CANARY}", json={CANARY: CANARY})).status_code == 404
        token = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.e30"}
        assert (await api.get(f"{OWNER}/memories", headers=token)).status_code == 503
        database = await asyncpg.connect(database_url)
        await database.execute("alter table memory_versions rename to elsewhere")
        await database.close()
        assert (await api.get(f"{OWNER}/memories/{CANARY}/history")).status_code == 503
        metrics = (await api.get("/metrics")).text
    said = await asyncio.to_thread(log.read_text)
    assert "GET /v1/users/{owner_id}/memories/{slug}/history answered with status 503" in said
    assert "GET /v1/users/{owner_id}/memories answered with status 503" in said
    assert 'route="/v1/users/{owner_id}/memories/{slug}/history"' in metrics
    for kept in (said, metrics):
        assert CANARY not in kept
        assert key.key not in kept
