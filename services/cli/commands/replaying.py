"""`replay`: what to run before a deploy."""

from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(replay)


def replay(
    ended: Annotated[
        int, typer.Option("--ended", min=0, max=10_000, help="So many of each workflow that have ended, too.")
    ] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Replay the runs that are open against this code, and say which it could not take up; nothing is written.

    Run it in the new version before you deploy it. Answers 1 where one cannot go on.

    Example: afterturn replay
    """
    from services.cli import replaying

    run(lambda output: replaying.replay(output, ended=ended), as_json=as_json)
