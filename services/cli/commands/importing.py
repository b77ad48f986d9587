"""`import`: past conversations from a file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run


class ImportFormat(StrEnum):
    auto = "auto"
    jsonl = "jsonl"
    chatgpt = "chatgpt"
    claude = "claude"
    locomo = "locomo"


def register(app: typer.Typer) -> None:
    app.command("import", epilog=EPILOG)(import_)


def import_(  # noqa: PLR0913, PLR0917  each is an option of its own
    file: Annotated[Path, typer.Argument(help="JSON lines, or conversations.json of an export.")],
    reads: Annotated[
        ImportFormat, typer.Option("--format", help="auto: found out by what the file begins with.")
    ] = ImportFormat.auto,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Who speaks where it is not said.")] = None,
    company: Annotated[str | None, typer.Option("--company", metavar="ID", help="Whose talk it is.")] = None,
    room: Annotated[
        str | None, typer.Option("--room", metavar="ID", help="All into this room; else a room a conversation.")
    ] = None,
    room_prefix: Annotated[
        str | None, typer.Option("--room-prefix", metavar="TEXT", help="What stands before a conversation's id.")
    ] = None,
    max_per_second: Annotated[
        float | None, typer.Option("--max-per-second", min=0.1, max=1_000_000, help="No more messages than that.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all of it is archived, or not at all.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Import past conversations into the archive; they are digested behind live chat.

    Runs as a workflow: Ctrl-C leaves it running, and says how to watch and to cancel it. A second import of the same
    messages changes nothing. docs/importing.md tells what each format takes.

    Example: afterturn import conversations.json --user 42
    """
    from services.cli import importing

    asked = importing.Asked(
        reads=reads.value,
        user_id=user,
        company_id=company,
        room_id=room,
        room_prefix=room_prefix,
        max_per_second=max_per_second,
    )
    run(lambda output: importing.import_file(output, file, asked, wait=wait), as_json=as_json)
