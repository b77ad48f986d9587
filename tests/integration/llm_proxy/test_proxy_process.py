"""`python -m services.llm_proxy`, as a process of its own."""

import asyncio
import os
import signal
import sys
from typing import Any

import httpx

from services.embedded.ports import free_port
from tests.support.openai_server import COMPLETIONS, OpenAIServer, Slow

ASK: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": "Hello"}]}


async def start(**settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.llm_proxy",
        env={**os.environ, **settings},
        stderr=asyncio.subprocess.PIPE,
    )


async def is_up(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.ConnectError:
        return False


async def test_it_serves_and_finishes_its_work_before_it_stops() -> None:
    port = free_port()
    async with (
        OpenAIServer() as upstream,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as http,
    ):
        process = await start(
            LLM_PROXY_PORT=str(port),
            OPENAI_COMPATIBLE_URL=upstream.url,
            OLLAMA_URL_INTERNAL="",
            EMBEDDED_MODELS="false",
        )
        try:
            async with asyncio.timeout(60):
                while not await is_up(http):
                    await asyncio.sleep(0.05)
            upstream.fault = Slow(1)
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=ASK))
            while not upstream.calls[COMPLETIONS]:
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert (await asking).status_code == 200
            async with asyncio.timeout(60):
                assert await process.wait() in (0, -signal.SIGTERM)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_a_bad_setting_stops_it_at_once_and_is_named() -> None:
    process = await start(LLM_PROXY_PORT="http", OPENAI_COMPATIBLE_URL="http://127.0.0.1:1")
    async with asyncio.timeout(60):
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert stderr.startswith(b"LLM_PROXY_PORT: takes ")
    assert b"Traceback" not in stderr
