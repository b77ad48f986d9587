"""`restored`: what to run after a restore, before anything else."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(restored)


def restored(
    redis_copied_at: Annotated[
        str | None,
        typer.Option(
            "--redis-copied-at",
            metavar="TIME",
            help="By Redis' clock, when the copy was begun that it was restored from; left out, it was not restored.",
        ),
    ] = None,
    forgotten: Annotated[
        Path | None,
        typer.Option("--forgotten", metavar="FILE", help="What `afterturn forget list --json` wrote at last."),
    ] = None,
    numbers_ahead: Annotated[
        int,
        typer.Option("--numbers-ahead", min=0, max=1_000_000_000, help="Leave so many of each room's numbers out."),
    ] = 0,
    drop_orphans: Annotated[
        bool, typer.Option("--drop-orphans", help="Delete memories in Mem0 whose owners are unknown here.")
    ] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Although others are connected to Postgres.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Bring Redis, Postgres, Temporal and Mem0 to agree after a restore; run it before workers and APIs.

    docs/backup.md says what was restored how. It may be run again as long as no worker has run.

    Example: afterturn restored --redis-copied-at 1772452800 --forgotten forgotten.json
    """
    from services.cli import restoring
    from services.operations.restoring import Asked

    run(
        lambda output: restoring.restored(
            output,
            Asked(
                redis_copied_at=restoring.read_time(redis_copied_at),
                forgotten=restoring.read_forgotten(forgotten),
                numbers_ahead=numbers_ahead,
                drop_orphans=drop_orphans,
                although_others_are_connected=anyway,
            ),
        ),
        as_json=as_json,
    )
