"""`mcp`."""

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(mcp)


def mcp(as_json: JsonFlag = False) -> None:
    """Serve the agent tools by the Model Context Protocol on standard input and output, until the input ends.

    AFTERTURN_API_KEY says whose memories they are about, and what may be done. Over HTTP they are at /mcp of the
    memory API. Standard output carries the protocol and nothing else, with --json too.

    Example: AFTERTURN_API_KEY=atk_... afterturn mcp
    """
    from services.cli import serving_mcp

    run(serving_mcp.serve, as_json=as_json)
