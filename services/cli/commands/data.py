"""Commands that read and write rooms."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag, Limit, UserOption
from services.cli.running import run

quarantine = typer.Typer(no_args_is_help=True, help="What could not be processed, with its reason.")


class FoundKind(StrEnum):
    message = "message"
    summary = "summary"
    episodic = "episodic"
    semantic = "semantic"
    procedural = "procedural"


class InputFormat(StrEnum):
    auto = "auto"
    jsonl = "jsonl"
    text = "text"


def register(app: typer.Typer) -> None:
    for command in (record, search, rooms, messages):
        app.command(epilog=EPILOG)(command)
    quarantine.command("list", epilog=EPILOG)(quarantine_list)
    quarantine.command("show", epilog=EPILOG)(quarantine_show)
    app.add_typer(quarantine, name="quarantine")
    app.command(epilog=EPILOG)(redrive)


def record(
    room: Annotated[str, typer.Argument(help="user:{user_id} or room:{name}")],
    reads: Annotated[
        InputFormat, typer.Option("--format", help="auto: JSON lines where the first line begins with a brace.")
    ] = InputFormat.auto,
    user: UserOption = None,
    company: Annotated[str | None, typer.Option("--company", metavar="ID")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Record messages from standard input in a room: JSON lines, or text with one user message a line.

    Nothing is recorded unless every line can be read. With ids in the lines, recording them again is safe.

    Example: echo "I moved to Lima" | afterturn record user:42
    """
    from services.cli import recording

    run(
        lambda output: recording.record(output, room, reads=reads.value, user_id=user, company_id=company),
        as_json=as_json,
    )


def search(  # noqa: PLR0913, PLR0917  the options of the command
    query: str,
    room: Annotated[
        str | None, typer.Option("--room", metavar="ID", help="In this room, and what was learned there, only.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="In this person's rooms and memories only.")
    ] = None,
    company: Annotated[
        str | None, typer.Option("--company", metavar="ID", help="In this company's rooms and memories only.")
    ] = None,
    kind: Annotated[list[FoundKind] | None, typer.Option("--kind", help="Of this kind only; may be repeated.")] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", help="As it was then, UTC: what memories said, and nothing that was said later."),
    ] = None,
    limit: Limit = 10,
    as_json: JsonFlag = False,
) -> None:
    """Search messages, summaries and memories by words and by meaning.

    While the embedding model is away words alone decide, and the command says so.

    Example: afterturn search "Where do I live?" --user 42
    """
    from services.cli import reading

    if user is not None and company is not None:
        raise typer.BadParameter("takes one of the two", param_hint="--user, --company")
    run(
        lambda output: reading.search(
            output,
            query,
            room_id=room,
            owner=reading.owner_from(user, company),
            kinds=[one.value for one in kind or FoundKind],
            as_of=as_of and as_of.replace(tzinfo=UTC),
            limit=limit,
        ),
        as_json=as_json,
    )


def rooms(limit: Limit = 50, as_json: JsonFlag = False) -> None:
    """List the rooms of the archive, the one that was written to last first.

    Example: afterturn rooms --limit 10
    """
    from services.cli import reading

    run(lambda output: reading.rooms(output, limit=limit), as_json=as_json)


def messages(
    room: str,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only what came after this one.")] = 0,
    limit: Limit = 100,
    as_json: JsonFlag = False,
) -> None:
    """List a room's archived messages in their order, with what became of each.

    Example: afterturn messages user:42 --after 100
    """
    from services.cli import reading

    run(lambda output: reading.messages(output, room, after=after, limit=limit), as_json=as_json)


def quarantine_list(
    room: Annotated[str | None, typer.Option("--room", metavar="ID", help="Of this room only.")] = None,
    limit: Limit = 100,
    as_json: JsonFlag = False,
) -> None:
    """List what is in quarantine, oldest first.

    Example: afterturn quarantine list --room user:42
    """
    from services.cli import quarantined

    run(lambda output: quarantined.list_open(output, room_id=room, limit=limit), as_json=as_json)


def quarantine_show(item_id: Annotated[UUID, typer.Argument(metavar="ID")], as_json: JsonFlag = False) -> None:
    """Show one thing in quarantine, with its content as it came.

    Example: afterturn quarantine show 3f8b2c1e-5d7a-5c11-9d52-0c8f4e6a7b21
    """
    from services.cli import quarantined

    run(lambda output: quarantined.show(output, item_id), as_json=as_json)


def redrive(
    item_ids: Annotated[list[UUID] | None, typer.Argument(metavar="ID")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is in quarantine.")] = False,
    room: Annotated[
        str | None, typer.Option("--room", metavar="ID", help="Where entries go whose key named no room.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Try again what is in quarantine; answers 1 when some of it stays there.

    An entry that can be read by now goes to the end of its room, a chunk is digested again.

    Example: afterturn redrive --all
    """
    if bool(item_ids) == everything:
        raise typer.BadParameter("takes ids, or --all", param_hint="ID")
    if everything and room:
        raise typer.BadParameter("takes the ids of what belongs there, not --all", param_hint="--room")
    from services.cli import quarantined

    run(
        lambda output: quarantined.redrive(output, item_ids or [], everything=everything, room_id=room),
        as_json=as_json,
    )
