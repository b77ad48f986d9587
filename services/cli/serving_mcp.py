"""`mcp`: the agent tools on standard input and output."""

import asyncio
import signal

from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.errors import InvalidInputError, NotAllowedError
from services.logs import log_to_stderr
from services.settings import AgentSettings, load


async def serve(output: Output) -> int:
    from services.agent_tools.opening import ToolsOfKey, memory_of
    from services.agent_tools.standard_streams import serve_standard_streams
    from services.postgres.api.keys import ApiKeys

    key = load(AgentSettings).afterturn_api_key
    if key is None:
        raise InvalidInputError("AFTERTURN_API_KEY", "an API key (`afterturn keys create`)")
    log_to_stderr()
    _end_at_once_when_told()
    async with opened("postgres") as resources:
        tools = ToolsOfKey(memory_of(resources), ApiKeys(resources.database), key.get_secret_value())
        try:
            await tools.credential()
        except NotAllowedError as error:
            raise CommandFailedError(f"AFTERTURN_API_KEY: {error}") from None
        output.note("the agent tools are served on standard input and output")
        await serve_standard_streams(tools)
    return OK


def _end_at_once_when_told() -> None:
    """Nobody can interrupt the thread that reads standard input, and a transaction that is cut off has not happened."""
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
