"""The tools by the Model Context Protocol, whatever carries it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server

from services.agent_tools.schemas import input_schema, output_schema
from services.agent_tools.tool import Tool
from services.agent_tools.tools import Answer, call, find_tool, instructions_of, told, tools_of
from services.agent_tools.whose import Memory
from services.credential import Credential
from services.domain.errors import AfterturnError

Asked = ServerRequestContext[Any, Any]
Identify = Callable[[Asked], Awaitable[Credential]]


def mcp_server(memory: Memory, identify: Identify) -> Server[Any]:
    """Give a server whose every request is answered for the credential that `identify` finds in it."""

    async def list_tools(asked: Asked, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        try:
            caller = await identify(asked)
        except AfterturnError as error:
            raise MCPError(types.INTERNAL_ERROR, told(error)) from None
        return types.ListToolsResult(tools=[_described(tool) for tool in tools_of(memory, caller)])

    async def call_tool(asked: Asked, params: types.CallToolRequestParams) -> types.CallToolResult:
        if find_tool(memory, params.name) is None:
            raise MCPError(types.INVALID_PARAMS, "Unknown tool")
        try:
            caller = await identify(asked)
        except AfterturnError as error:
            return _result(Answer(told(error), is_error=True))
        return _result(await call(memory, caller, params.name, params.arguments))

    # It tells of each request and of what it refuses, which may quote a memory.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    server = Server[Any](
        "afterturn",
        version="1",
        title="Afterturn memory",
        instructions=instructions_of(memory),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # Its spans carry names that a caller made up, and the words of errors.
    server.middleware.clear()
    return server


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=input_schema(tool.arguments),
        output_schema=output_schema(tool.answer),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.is_read_only,
            destructive_hint=tool.is_destructive,
            # Saying the same again changes nothing, and what is ended stays so.
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _result(answer: Answer) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=answer.text)], structured_content=answer.content, is_error=answer.is_error
    )
