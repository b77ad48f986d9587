"""The MCP server of one API key, on standard input and output."""

from mcp.server.stdio import stdio_server

from services.agent_tools.mcp_server import Asked, mcp_server
from services.agent_tools.opening import ToolsOfKey
from services.credential import Credential


async def serve_standard_streams(tools: ToolsOfKey) -> None:
    """Serve until standard input ends. While it does, whatever else is printed goes to standard error."""

    async def identify(_asked: Asked) -> Credential:
        return await tools.credential()

    server = mcp_server(tools.memory, identify)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
