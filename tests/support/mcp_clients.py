"""The official MCP client, by HTTP and by standard streams."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from services.domain.credentials import Scope, make_key
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources

ROOT = Path(__file__).parents[2]
EVERY: tuple[Scope, ...] = ("ingest", "read", "write")


async def key_of(
    resources: Resources, user: str | None = None, company: str | None = None, scopes: tuple[Scope, ...] = EVERY
) -> str:
    key = make_key()
    await ApiKeys(resources.database).add(
        key, name="agent", scopes=scopes, binding=Binding(user, company), expires_at=None
    )
    return key.key


@asynccontextmanager
async def by_http(url: str, key: str, *, mode: str = "auto", **headers: str) -> AsyncIterator[Client]:
    given = {"Authorization": f"Bearer {key}", **headers}
    async with (
        httpx2.AsyncClient(headers=given, trust_env=False, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def by_standard_streams(folder: Path, key: str, **settings: str) -> AsyncIterator[Client]:
    """Start `afterturn mcp` as docs/agent_tools.md has it, and hold it to writing the protocol and nothing else.

    What it writes to standard output and to standard error lies in `folder`.
    """
    [configured, _by_http] = documented("json")
    server = json.loads(configured)["mcpServers"]["afterturn"]
    environment = {
        **{name: os.environ[name] for name in server["env"] if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "AFTERTURN_API_KEY": key,
        **settings,
    }
    written = folder / "standard_output"
    program = [sys.executable, "-m", "services.cli", *server["args"]]
    copying = StdioServerParameters(
        command="sh", args=["-c", '"$@" | tee "$0"', str(written), *program], env=environment, cwd=folder
    )
    with (folder / "standard_error").open("w") as errors:
        async with Client(stdio_client(copying, errlog=errors)) as client:
            yield client
    assert {json.loads(line)["jsonrpc"] for line in written.read_text().splitlines()} == {"2.0"}


def documented(language: str) -> list[str]:
    """Give the examples of docs/agent_tools.md in a language."""
    page = (ROOT / "docs" / "agent_tools.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that must succeed; the client has held its answer to the tool's schema."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, words(result)
    content: dict[str, Any] = result.structured_content
    return content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must fail; give what the model is told."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, words(result)
    return words(result)


def words(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text
